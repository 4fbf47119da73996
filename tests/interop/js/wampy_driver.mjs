// wampy.js as a program that tests can drive; see tests/interop/lines.py for what is spoken.

import { Wampy } from 'wampy';
import { CborSerializer } from 'wampy/CborSerializer.js';
import * as cryptosign from 'wampy/cryptosign.js';
import * as wampcra from 'wampy/wampcra.js';
import { JsonSerializer } from 'wampy/JsonSerializer.js';
import { MsgpackSerializer } from 'wampy/MsgpackSerializer.js';
import WebSocket from 'ws';
import { say, serve, withoutBinary } from './driver.mjs';

const serializers = {
  json: () => new JsonSerializer(),
  msgpack: () => new MsgpackSerializer(),
  cbor: () => new CborSerializer(),
};

const sessions = new Map(); // name -> { wampy, payload }
const handlers = new Map(); // handler -> { wampy, procedure } or { wampy, subscription }
const calls = new Map(); // command id -> { wampy, request }
const invocations = new Map(); // id -> { resolve, reject, more, payload }
let lastInvocation = 0;

async function join({ session: name, realm, port, serializer, login }) {
  const ending = {};
  const wampy = new Wampy(`ws://127.0.0.1:${port}/ws`, {
    realm,
    ws: WebSocket,
    serializer: serializers[serializer](),
    autoReconnect: false,
    ...(login && credentials(login)),
    onError: (error) => {
      ending.error = error.errorUri ?? String(error);
    },
    onClose: () => say({ left: name, details: ending }),
  });
  const { authid, authrole, authmethod, realm: joined } = await wampy.connect();
  sessions.set(name, { wampy, payload: serializer === 'json' ? withoutBinary : (value) => value });
  return { session: wampy.getSessionId(), authid, authrole, authmethod, realm: joined };
}

// How a user of the library logs in.
function credentials({ method, authid, secret, pubkey }) {
  const answers = {
    ticket: () => () => secret,
    jwt: () => () => secret,
    wampcra: () => wampcra.sign(secret),
    cryptosign: () => cryptosign.sign(secret),
  };
  return {
    authid,
    authmethods: [method],
    authextra: pubkey ? { pubkey } : {},
    authMode: 'auto',
    authPlugins: { [method]: answers[method]() },
  };
}

async function register({ session: name, procedure, options, handler }) {
  const { wampy, payload } = sessions.get(name);
  const endpoint = ({ details, argsList = [], argsDict = {}, result_handler }) =>
    new Promise((resolve, reject) => {
      const id = ++lastInvocation;
      invocations.set(id, { resolve, reject, more: result_handler, payload });
      const { procedure = null, caller = null, caller_authid = null, caller_authrole = null } = details;
      const about = { procedure, caller, caller_authid, caller_authrole, receive_progress: !!details.receive_progress };
      say({ handler, invocation: { id, args: argsList, kwargs: argsDict, details: about } });
    });
  const { registrationId } = await wampy.register(procedure, endpoint, options);
  handlers.set(handler, { wampy, procedure });
  return registrationId;
}

async function subscribe({ session: name, topic, options, handler }) {
  const { wampy } = sessions.get(name);
  const onevent = ({ details, argsList = [], argsDict = {} }) => {
    const { topic = null, publisher = null, publisher_authid = null, publisher_authrole = null } = details;
    const about = { topic, publisher, publisher_authid, publisher_authrole };
    say({ handler, event: { args: argsList, kwargs: argsDict, details: about } });
  };
  // wampy.js 8.0 fails to unsubscribe what was subscribed with options, be they empty.
  const advanced = Object.keys(options).length ? options : undefined;
  const { subscriptionId } = await wampy.subscribe(topic, onevent, advanced);
  handlers.set(handler, { wampy, subscription: subscriptionId });
  return subscriptionId;
}

async function publish({ session: name, topic, args, kwargs, options }) {
  const { wampy, payload } = sessions.get(name);
  const { publicationId } = await wampy.publish(topic, { argsList: payload(args), argsDict: payload(kwargs) }, options);
  return publicationId;
}

async function call({ id, session: name, procedure, args, kwargs, options }) {
  const { wampy, payload } = sessions.get(name);
  const { receive_progress, ...advanced } = options;
  if (receive_progress) {
    advanced.progress_callback = ({ argsList = [], argsDict = {} }) =>
      say({ progress: id, args: argsList, kwargs: argsDict });
  }
  const promise = wampy.call(procedure, { argsList: payload(args), argsDict: payload(kwargs) }, advanced);
  calls.set(id, { wampy, request: wampy.getOpStatus().reqId });
  const { argsList = [], argsDict = {} } = await promise;
  return { args: argsList, kwargs: argsDict };
}

serve(
  {
    join,
    register,
    subscribe,
    publish,
    call,
    leave: ({ session }) => sessions.get(session).wampy.disconnect().then(() => null),
    unregister: ({ handler }) => {
      const { wampy, procedure } = handlers.get(handler);
      return wampy.unregister(procedure).then(() => null);
    },
    unsubscribe: ({ handler }) => {
      const { wampy, subscription } = handlers.get(handler);
      return wampy.unsubscribe(subscription).then(() => null);
    },
    cancel: ({ call, mode }) => {
      const { wampy, request } = calls.get(call);
      return wampy.cancel(request, mode ? { mode } : undefined);
    },
    succeed: ({ invocation, args, kwargs }) => {
      const { resolve, payload } = invocations.get(invocation);
      resolve({ argsList: payload(args), argsDict: payload(kwargs) });
    },
    progress: ({ invocation, args, kwargs }) => {
      const { more, payload } = invocations.get(invocation);
      more({ argsList: payload(args), argsDict: payload(kwargs), options: { progress: true } });
    },
    fail: ({ invocation, uri, args, kwargs }) => {
      const { reject, payload } = invocations.get(invocation);
      reject({ error: uri, argsList: payload(args), argsDict: payload(kwargs) });
    },
  },
  (error) => (error?.errorUri ? { uri: error.errorUri, args: error.argsList ?? [], kwargs: error.argsDict ?? {} } : {}),
);
