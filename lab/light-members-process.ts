/**
 * Light members on one machine: node light-members-process.js FOLDER. Each line of the input joins one: "NAME TOKEN
 * LOCAL-ADDRESS". When it is a member, its overlay address is said, or why it is none.
 */
import { createInterface } from 'node:readline';
import { formatIp } from '../src/addr/ip.js';
import { addressOf } from '../src/ffi.js';
import { NodeAead } from '../src/tunnel/plane/aead.js';
import { Arena } from '../src/tunnel/plane/arena.js';
import { EvpAead } from '../src/tunnel/plane/linux-evp.js';
import { LightMember } from './light-member.js';

const folder = process.argv[2]!;
const arena = new Arena(addressOf);
const memory = { arena, aead: EvpAead.tryOpen(arena) ?? new NodeAead(arena) };
const members: LightMember[] = [];

for await (const line of createInterface({ input: process.stdin })) {
  const [name, token, local] = line.split(' ') as [string, string, string];
  try {
    const member = await LightMember.join(folder, name, token, local, memory);
    members.push(member);
    console.log(`${name} ${formatIp(member.address)}`);
  } catch (error) {
    console.log(`${name} failed: ${error instanceof Error ? error.message : error}`);
  }
}
for (const member of members) member.stop();
