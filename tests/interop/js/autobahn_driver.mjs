// autobahn-js as a program that tests can drive; see tests/interop/lines.py for what is spoken.

import autobahn from 'autobahn';
import WebSocket from 'ws';
import { say, serve, withoutBinary } from './driver.mjs';
import { XMLHttpRequest } from './xml_http_request.mjs';

globalThis.WebSocket ??= WebSocket; // autobahn-js takes the built-in one, which Node.js has from version 22 on
globalThis.XMLHttpRequest ??= XMLHttpRequest;

const serializers = {
  json: () => new autobahn.serializer.JSONSerializer(),
  msgpack: () => new autobahn.serializer.MsgpackSerializer(),
  cbor: () => new autobahn.serializer.CBORSerializer(),
};

const sessions = new Map(); // name -> { connection, session, payload }
const handlers = new Map(); // handler -> Registration or Subscription
const calls = new Map(); // command id -> promise
const invocations = new Map(); // id -> { resolve, reject, details, payload }
let lastInvocation = 0;

function join({ session: name, realm, transport, port, serializer, login }) {
  const url = `ws://127.0.0.1:${port}/ws`;
  const how =
    transport === 'rawsocket'
      ? { transports: [{ type: 'rawsocket', host: '127.0.0.1', port }] }
      : transport === 'longpoll'
      ? { transports: [{ type: 'longpoll', url: `http://127.0.0.1:${port}/lp` }] }
      : { url, serializers: [serializers[serializer]()] };
  const connection = new autobahn.Connection({ realm, max_retries: 0, ...how, ...(login && credentials(login)) });
  return new Promise((resolve, reject) => {
    connection.onopen = (session, details) => {
      sessions.set(name, { connection, session, payload: serializer === 'json' ? withoutBinary : (value) => value });
      const { authid, authrole, authmethod, realm } = details;
      resolve({ session: session.id, authid, authrole, authmethod, realm });
    };
    connection.onclose = (reason, details) => {
      if (!sessions.has(name)) reject({ error: details.reason, args: [details.message], kwargs: {} });
      say({ left: name, details: { ...details, connection: reason } });
      return true; // do not try again
    };
    connection.open();
  });
}

// How a user of the library logs in.
function credentials({ method, authid, secret, pubkey }) {
  const key = pubkey && { publicKey: Buffer.from(pubkey, 'hex'), secretKey: Buffer.from(secret + pubkey, 'hex') };
  const answers = {
    ticket: () => secret,
    jwt: () => secret,
    wampcra: ({ challenge, salt, iterations, keylen }) =>
      autobahn.auth_cra.sign(salt ? autobahn.auth_cra.derive_key(secret, salt, iterations, keylen) : secret, challenge),
    cryptosign: (extra) => autobahn.auth_cryptosign.sign_challenge(key, extra),
  };
  return {
    authid,
    authmethods: [method],
    authextra: key ? { pubkey: autobahn.auth_cryptosign.public_key(key) } : undefined,
    onchallenge: (session, method, extra) => answers[method](extra),
  };
}

function leave({ session: name }) {
  const { connection } = sessions.get(name);
  return new Promise((resolve) => {
    const onclose = connection.onclose;
    connection.onclose = (reason, details) => {
      onclose(reason, details);
      resolve();
    };
    connection.close();
  });
}

async function register({ session: name, procedure, options, handler }) {
  const { session, payload } = sessions.get(name);
  const endpoint = (args, kwargs, details) =>
    new Promise((resolve, reject) => {
      const id = ++lastInvocation;
      invocations.set(id, { resolve, reject, details, payload });
      const { procedure, caller, caller_authid, caller_authrole, progress } = details;
      const about = { procedure, caller, caller_authid, caller_authrole, receive_progress: progress !== null };
      say({ handler, invocation: { id, args, kwargs, details: withoutUndefined(about) } });
    });
  const registration = await session.register(procedure, endpoint, options);
  handlers.set(handler, registration);
  return registration.id;
}

async function subscribe({ session: name, topic, options, handler }) {
  const { session } = sessions.get(name);
  const onevent = (args, kwargs, details) => {
    const { topic, publication, publisher, publisher_authid, publisher_authrole } = details;
    const about = { topic, publication, publisher, publisher_authid, publisher_authrole };
    say({ handler, event: { args, kwargs, details: withoutUndefined(about) } });
  };
  const subscription = await session.subscribe(topic, onevent, options);
  handlers.set(handler, subscription);
  return subscription.id;
}

async function publish({ session: name, topic, args, kwargs, options }) {
  const { session, payload } = sessions.get(name);
  const publication = await session.publish(topic, payload(args), payload(kwargs), options);
  return publication?.id;
}

async function call({ id, session: name, procedure, args, kwargs, options }) {
  const { session, payload } = sessions.get(name);
  const promise = session.call(procedure, payload(args), payload(kwargs), options);
  calls.set(id, promise);
  try {
    return unwrapped(await promise.then(undefined, undefined, (result) => say({ progress: id, ...unwrapped(result) })));
  } finally {
    calls.delete(id);
  }
}

function unwrapped(result) {
  if (result instanceof autobahn.Result) return { args: result.args, kwargs: result.kwargs };
  return { args: result === null ? [] : [result], kwargs: {} };
}

// What the library passes on of details that the router did not send.
function withoutUndefined(details) {
  return Object.fromEntries(Object.entries(details).map(([key, value]) => [key, value ?? null]));
}

serve(
  {
    join,
    leave,
    register,
    subscribe,
    publish,
    call,
    unregister: ({ handler }) => handlers.get(handler).unregister(),
    unsubscribe: ({ handler }) => handlers.get(handler).unsubscribe().then(() => null),
    cancel: ({ call, mode }) => void calls.get(call).cancel(mode ? { mode } : undefined),
    succeed: ({ invocation, args, kwargs }) => {
      const { resolve, payload } = invocations.get(invocation);
      resolve(new autobahn.Result(payload(args), payload(kwargs)));
    },
    progress: ({ invocation, args, kwargs }) => {
      const { details, payload } = invocations.get(invocation);
      details.progress(payload(args), payload(kwargs));
    },
    fail: ({ invocation, uri, args, kwargs }) => {
      const { reject, payload } = invocations.get(invocation);
      reject(new autobahn.Error(uri, payload(args), payload(kwargs)));
    },
  },
  (error) => (error?.error ? { uri: error.error, args: error.args, kwargs: error.kwargs } : {}),
);
