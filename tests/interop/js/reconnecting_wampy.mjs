// wampy.js comes back when its connection is lost, with what it had registered and subscribed to, and leaves when all of
// that works. It prints its session ids, and null when it leaves for good.
//
// Run with the router's address.

import { Wampy } from 'wampy';
import ws from 'ws';

const url = process.argv[2];
const wampy = new Wampy(url, {
  realm: 'realm1',
  ws,
  reconnectInterval: 50,
  maxRetries: 0,
  onError: (error) => console.error(String(error)),
  onReconnectSuccess: () => void checkThatAllIsRenewed(),
  onClose: () => console.log(null),
});
const { promise: heard, resolve: hear } = promised();

await wampy.connect();
await wampy.register('com.example.reconnecting.echo', ({ argsList }) => ({ argsList }));
await wampy.subscribe('com.example.reconnecting.news', ({ argsList }) => hear(argsList[0]));
console.log(wampy.getSessionId());

async function checkThatAllIsRenewed() {
  const other = new Wampy(url, { realm: 'realm1', ws });
  await other.connect();
  let answer; // It is being renewed behind our back: ask until it is there.
  while (answer === undefined) {
    answer = await other.call('com.example.reconnecting.echo', ['still here']).catch(notYet);
  }
  await other.publish('com.example.reconnecting.news', answer.argsList);
  console.log(JSON.stringify(await heard));
  console.log(wampy.getSessionId());
  await other.disconnect();
  await wampy.disconnect();
}

function notYet(error) {
  if (error.errorUri !== 'wamp.error.no_such_procedure') throw error;
}

function promised() {
  const parts = {};
  parts.promise = new Promise((resolve) => Object.assign(parts, { resolve }));
  return parts;
}
