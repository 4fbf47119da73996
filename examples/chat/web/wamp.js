// As much of WAMP as the page needs. Every message is a list that begins with a number.
const HELLO = 1, WELCOME = 2, ERROR = 8, SUBSCRIBE = 32, SUBSCRIBED = 33, EVENT = 36, CALL = 48, RESULT = 50;

export function connect(url, realm) {
  const socket = new WebSocket(url, ["wamp.2.json"]);
  const waiting = new Map(); // request -> who waits for its answer
  const handlers = new Map(); // subscription -> who hears its events
  let requests = 0;

  const send = (...message) => socket.send(JSON.stringify(message));
  const request = (code, ...rest) =>
    new Promise((resolve, reject) => {
      waiting.set(++requests, { resolve, reject });
      send(code, requests, {}, ...rest);
    });
  const session = {
    call: (procedure, ...args) => request(CALL, procedure, args),
    subscribe: async (topic, handler) => handlers.set(await request(SUBSCRIBE, topic), handler),
  };

  return new Promise((joined) => {
    socket.onopen = () => send(HELLO, realm, { roles: { caller: {}, subscriber: {} } });
    socket.onmessage = ({ data }) => {
      const [code, ...rest] = JSON.parse(data);
      if (code === WELCOME) joined(session);
      else if (code === SUBSCRIBED) waiting.get(rest[0]).resolve(rest[1]);
      else if (code === RESULT) waiting.get(rest[0]).resolve(rest[2]?.[0]);
      else if (code === ERROR) waiting.get(rest[1]).reject(new Error(rest[4]?.[0] ?? rest[3]));
      else if (code === EVENT) handlers.get(rest[0])(...(rest[3] ?? []));
    };
  });
}
