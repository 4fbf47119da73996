// wampy.js: offer a procedure and call it, subscribe to a topic and publish to it.
//
// Needs `npm install wampy ws`. Takes the router's address, ws://127.0.0.1:8080/ws by default.

import { Wampy } from 'wampy';
import ws from 'ws';

const url = process.argv[2] ?? 'ws://127.0.0.1:8080/ws';
const service = new Wampy(url, { realm: 'realm1', ws }); // a browser needs no `ws`
const client = new Wampy(url, { realm: 'realm1', ws });

await service.connect();
await service.register('com.example.add', ({ argsList: [a, b] }) => ({ argsList: [a + b] }));
const greeted = new Promise((resolve) => {
  service.subscribe('com.example.hello', ({ argsList: [name] }) => resolve(name));
});

await client.connect();
const { argsList } = await client.call('com.example.add', [5, 7]);
console.log('5 and 7 are', argsList[0]);
await client.publish('com.example.hello', ['Ada']);
console.log('Hello', await greeted);

await client.disconnect();
await service.disconnect();
