import { State } from '../../daemon/state.js';
import { crashingFiles } from './crashing-files.js';

/** Writes generation after generation to a state until its disk kills the process: node state-child.js FOLDER STEP HALF */
const [folder, step, half] = process.argv.slice(2);
const state = State.open(folder!, crashingFiles(Number(step), half === 'half'));
for (let generation = 1; generation < 5; generation++) {
  state.write('identity', new Uint8Array(10_000).fill(generation));
  process.stdout.write(`${generation}\n`);
}
