// autobahn-js: offer a procedure and call it, subscribe to a topic and publish to it.
//
// Needs `npm install autobahn ws`. Takes the router's address, ws://127.0.0.1:8080/ws by default.

import autobahn from 'autobahn';
import WebSocket from 'ws';

globalThis.WebSocket ??= WebSocket; // for Node.js before 22; browsers have their own

const url = process.argv[2] ?? 'ws://127.0.0.1:8080/ws';
const connection = new autobahn.Connection({ url, realm: 'realm1' });

connection.onopen = async (session) => {
  await session.register('com.example.add', ([a, b]) => a + b);
  await session.subscribe('com.example.hello', ([name]) => {
    console.log('Hello', name);
    connection.close();
  });

  console.log('5 and 7 are', await session.call('com.example.add', [5, 7]));
  // A publisher does not get its own event unless it asks for it.
  session.publish('com.example.hello', ['Ada'], {}, { exclude_me: false });
};
connection.open();
