// What the client programs in this folder have in common: the line protocol of tests/interop/lines.py.

import { createInterface } from 'node:readline';

// Sends a message to the test.
export function say(message) {
  process.stdout.write(JSON.stringify(marked(message)) + '\n');
}

// Carries out commands from standard input until it ends.
//
// `commands` maps the name of a command to a function that takes it and returns, or promises, its outcome. `explain`
// turns what such a function threw into { uri, args, kwargs, message }.
export function serve(commands, explain) {
  const lines = createInterface({ input: process.stdin, crlfDelay: Infinity });
  lines.on('line', async (line) => {
    const command = unmarked(JSON.parse(line));
    try {
      say({ reply: command.id, value: (await commands[command.do](command)) ?? null });
    } catch (error) {
      console.error(command.do, error);
      say({ reply: command.id, error: { uri: '', args: [], kwargs: {}, message: String(error), ...explain(error) } });
    }
  });
  lines.on('close', () => process.exit(0));
}

// JSON has no binary. What a user of a JSON connection writes in its place: "\0" and base64.
export function withoutBinary(value) {
  if (value instanceof Uint8Array) return '\0' + Buffer.from(value).toString('base64');
  if (Array.isArray(value)) return value.map(withoutBinary);
  if (value !== null && typeof value === 'object') {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, withoutBinary(item)]));
  }
  return value;
}

function marked(value) {
  if (value === undefined) return { $undefined: true };
  if (typeof value === 'bigint') return { $int: String(value) };
  if (typeof value === 'number' && !Number.isFinite(value)) {
    return { $float: Number.isNaN(value) ? 'nan' : value > 0 ? 'inf' : '-inf' };
  }
  if (value instanceof Uint8Array) return { $bytes: Buffer.from(value).toString('base64') };
  if (Array.isArray(value)) return value.map(marked);
  if (value === null || typeof value !== 'object') return value;
  const prototype = Object.getPrototypeOf(value);
  if (prototype !== null && prototype !== Object.prototype) {
    return { $other: `${value.constructor?.name} ${String(value)}` };
  }
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, marked(item)]));
}

function unmarked(value) {
  if (Array.isArray(value)) return value.map(unmarked);
  if (value === null || typeof value !== 'object') return value;
  if ('$bytes' in value) return Buffer.from(value.$bytes, 'base64');
  if ('$typed' in value) return new Uint8Array(Buffer.from(value.$typed, 'base64'));
  if ('$float' in value) return { nan: NaN, inf: Infinity, '-inf': -Infinity }[value.$float];
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, unmarked(item)]));
}
