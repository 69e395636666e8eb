/**
 * One end of a TCP connection that carries a little all the time: node talk-process.js listen|connect ADDRESS PORT. The
 * listening end echoes, and says "listening". The other sends the time 50 times a second and prints what comes back, a
 * line each.
 */
import { connect, createServer } from 'node:net';
import { createInterface } from 'node:readline';

const [what, address, port] = [process.argv[2], process.argv[3]!, Number(process.argv[4])];

if (what === 'listen') {
  createServer((socket) => socket.on('error', () => {}).pipe(socket)).listen(port, address, () =>
    console.log('listening'),
  );
} else {
  const socket = connect(port, address);
  // A connection that breaks ends the process, which is what is being watched for.
  socket.on('close', () => process.exit(1)).on('error', () => {});
  createInterface({ input: socket }).on('line', (line) => console.log(line));
  setInterval(() => socket.write(`${Date.now()}\n`), 20);
}
