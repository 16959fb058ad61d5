// A service for tests: answers every request with its instance's id and what VERSION says.
import { createServer } from 'node:http';

const answer = JSON.stringify({ instance: process.env.TENDRIL_INSTANCE, version: process.env.VERSION ?? '' });
createServer((_, response) => response.end(answer)).listen(Number(process.env.PORT), '127.0.0.1');
