// What browsers have and Node.js has not: XMLHttpRequest, as far as autobahn-js uses it for long-polling.

import http from 'node:http';

// A browser keeps connections open, and has at most six to one host: further requests wait.
const agent = new http.Agent({ keepAlive: true, maxSockets: 6 });

export class XMLHttpRequest {
  readyState = 0;
  status = 0;
  statusText = '';
  responseText = '';
  timeout = 0;
  onreadystatechange = null;
  ontimeout = null;

  #headers = {};
  #method;
  #url;

  open(method, url) {
    this.#method = method;
    this.#url = url;
    this.readyState = 1;
  }

  setRequestHeader(name, value) {
    this.#headers[name] = value;
  }

  send(body) {
    const data = Buffer.from(body ?? '');
    const headers = { ...this.#headers, 'Content-Length': data.length };
    const request = http.request(this.#url, { method: this.#method, headers, agent }, (response) => {
      const chunks = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('end', () => this.#done(response, Buffer.concat(chunks).toString()));
      response.on('error', () => this.#done({}, ''));
    });
    request.on('error', () => this.#done({}, ''));
    if (this.timeout > 0) {
      const timer = setTimeout(() => {
        this.readyState = 4;
        request.destroy();
        this.ontimeout?.();
      }, this.timeout);
      request.on('close', () => clearTimeout(timer));
    }
    request.end(data);
  }

  #done({ statusCode = 0, statusMessage = '' }, text) {
    if (this.readyState === 4) return;
    this.status = statusCode;
    this.statusText = statusMessage;
    this.responseText = text;
    this.readyState = 4;
    this.onreadystatechange?.();
  }
}
