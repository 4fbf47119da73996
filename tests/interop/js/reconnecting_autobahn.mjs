// autobahn-js comes back when its connection is lost, and leaves when it has. It prints its session ids, and why it
// leaves for good.
//
// Run with the router's address.

import autobahn from 'autobahn';
import WebSocket from 'ws';

// Without a handler for errors, a refused connection would end the program: this library sets none, knowing browsers.
globalThis.WebSocket ??= class extends WebSocket {
  constructor(...how) {
    super(...how);
    this.onerror = () => {};
  }
};

const connection = new autobahn.Connection({
  url: process.argv[2],
  realm: 'realm1',
  initial_retry_delay: 0.05,
  max_retry_delay: 0.05,
  max_retries: -1,
});
let joins = 0;

connection.onopen = (session) => {
  console.log(session.id);
  joins += 1;
  if (joins === 2) connection.close();
};
connection.onclose = (reason, details) => {
  if (!details.will_retry) console.log(JSON.stringify(details.reason));
};
connection.open();
