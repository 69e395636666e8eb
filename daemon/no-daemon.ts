import { MeshError } from '../src/errors.js';

/**
 * The MeshError "no-daemon" that every command throws which needs a daemon where none runs: nothing listens at `socket`, a path. The
 * words and the cure are these alone, whichever command it is and whether it asked the socket or the state folder.
 */
export function noDaemon(socket: string, cause?: Error): MeshError {
  const cure = 'start it (systemctl start weft, or npm start in a clone), or name its socket with --socket';
  return new MeshError('no-daemon', `no weftd answers at ${socket}`, cure, { cause });
}
