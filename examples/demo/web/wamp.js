// A small WAMP client: one session over one WebSocket, in JSON. It has what this page needs and is meant to be read.
// Every message is an array that starts with a number saying what it is: https://wamp-proto.org/spec.html

export const Message = {
  HELLO: 1, WELCOME: 2, ABORT: 3, GOODBYE: 6, ERROR: 8,
  PUBLISH: 16, PUBLISHED: 17, SUBSCRIBE: 32, SUBSCRIBED: 33, EVENT: 36,
  CALL: 48, RESULT: 50, REGISTER: 64, REGISTERED: 65, INVOCATION: 68, YIELD: 70,
};

export const messageName = (code) => Object.keys(Message).find((name) => Message[name] === code) ?? `message ${code}`;

// What an ERROR message says. Throw one in a procedure to choose the URI that its caller sees.
export class WampError extends Error {
  constructor(uri, args = [], kwargs = {}) {
    super([uri, ...args].join(": "));
    Object.assign(this, { uri, args, kwargs });
  }
}

export class Session {
  id = null; // given by the router's WELCOME
  #socket;
  #hooks;
  #lastRequest = 0;
  #requests = new Map(); // request id -> {resolve, reject}
  #handlers = new Map(); // subscription id -> function(args, kwargs)
  #procedures = new Map(); // registration id -> function(args, kwargs)

  // Hooks, all optional: opened(session), closed(reason), sent(message), received(message).
  constructor(url, realm, hooks = {}) {
    this.#hooks = hooks;
    this.#socket = new WebSocket(url, ["wamp.2.json"]);
    this.#socket.onopen = () => {
      const roles = { publisher: {}, subscriber: {}, caller: {}, callee: {} };
      this.#send([Message.HELLO, realm, { roles }]);
    };
    this.#socket.onmessage = (event) => this.#receive(JSON.parse(event.data));
    this.#socket.onclose = (event) => this.#end(event.reason || "connection lost");
  }

  // Call handler(args, kwargs) for every event published to the topic, except for those of this session.
  async subscribe(topic, handler) {
    const [, , subscription] = await this.#request((id) => [Message.SUBSCRIBE, id, {}, topic]);
    this.#handlers.set(subscription, handler);
  }

  // Publish an event. Resolves when the router has it; how many receive it is not known.
  async publish(topic, args = [], kwargs = {}) {
    await this.#request((id) => [Message.PUBLISH, id, { acknowledge: true }, topic, args, kwargs]);
  }

  // Answer calls of the procedure by what procedure(args, kwargs) returns, or promises.
  async register(uri, procedure) {
    const [, , registration] = await this.#request((id) => [Message.REGISTER, id, {}, uri]);
    this.#procedures.set(registration, procedure);
  }

  // Call a procedure, wherever it is registered, and return the first value of its result. Throws WampError.
  async call(uri, args = [], kwargs = {}) {
    const [, , , results] = await this.#request((id) => [Message.CALL, id, {}, uri, args, kwargs]);
    return results?.[0];
  }

  #send(message) {
    if (this.#socket.readyState !== WebSocket.OPEN) return;
    this.#socket.send(JSON.stringify(message));
    this.#hooks.sent?.(message);
  }

  // Send a message that the router answers, and wait for the answer with the same request id.
  #request(compose) {
    if (this.id === null) return Promise.reject(new WampError("wamp.error.not_connected"));
    const id = ++this.#lastRequest;
    return new Promise((resolve, reject) => {
      this.#requests.set(id, { resolve, reject });
      this.#send(compose(id));
    });
  }

  #receive(message) {
    this.#hooks.received?.(message);
    const [code, ...rest] = message;
    switch (code) {
      case Message.WELCOME:
        this.id = rest[0];
        return this.#hooks.opened?.(this);
      case Message.EVENT: {
        const [subscription, , , args = [], kwargs = {}] = rest;
        return this.#handlers.get(subscription)?.(args, kwargs);
      }
      case Message.INVOCATION:
        return this.#invoke(...rest);
      case Message.ERROR: {
        const [, request, , uri, args, kwargs] = rest;
        return this.#take(request)?.reject(new WampError(uri, args, kwargs));
      }
      case Message.ABORT:
        return this.#end(`refused: ${rest[1]}`);
      case Message.GOODBYE:
        this.#send([Message.GOODBYE, {}, "wamp.close.goodbye_and_out"]);
        return this.#end(`closed: ${rest[1]}`);
      default: // PUBLISHED, SUBSCRIBED, REGISTERED, RESULT: an answer
        this.#take(rest[0])?.resolve(message);
    }
  }

  async #invoke(request, registration, details, args = [], kwargs = {}) {
    try {
      const result = await this.#procedures.get(registration)(args, kwargs);
      this.#send([Message.YIELD, request, {}, [result]]);
    } catch (error) {
      const uri = error.uri ?? "wamp.error.runtime_error";
      this.#send([Message.ERROR, Message.INVOCATION, request, {}, uri, error.args ?? [String(error)]]);
    }
  }

  #take(request) {
    const waiting = this.#requests.get(request);
    this.#requests.delete(request);
    return waiting;
  }

  #end(reason) {
    this.#socket.onmessage = this.#socket.onclose = null;
    this.#socket.close();
    this.id = null;
    for (const { reject } of this.#requests.values()) reject(new WampError("wamp.error.connection_lost"));
    this.#requests.clear();
    this.#hooks.closed?.(reason);
  }
}
