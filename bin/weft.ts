#!/usr/bin/env node
import { Command, CommanderError, InvalidArgumentError } from 'commander';
import { type NodeApi, type PingReply, schema } from '../daemon/api.js';
import { configSample } from '../daemon/config-keys.js';
import { parseDuration } from '../daemon/duration.js';
import { paperOf } from '../daemon/paper.js';
import { readPassphrase } from '../daemon/passphrase.js';
import { resolvePaths } from '../daemon/paths.js';
import { withProgress } from '../daemon/progress.js';
import { withNode } from '../daemon/reach.js';
import { readSealed, writeSealed } from '../daemon/sealed-file.js';
import { packageVersion } from '../daemon/version.js';
import * as view from '../daemon/views.js';
import { MeshError } from '../src/errors.js';

interface Common {
  readonly socket?: string;
  readonly state?: string;
  readonly config?: string;
}

/** What a command prints: the answer for programs, the same for people, and the exit status. */
interface Output {
  readonly json: unknown;
  readonly text: string;
  readonly status?: number;
  /** For the operator, beside the answer. */
  readonly warning?: string;
}

const program = new Command('weft')
  .description("weft, the unbreakable overlay network: see, explain and change this machine's part in it")
  .version(packageVersion())
  .enablePositionalOptions()
  .exitOverride()
  .configureOutput({ outputError: () => {} })
  .configureHelp({ subcommandTerm: (one) => [one.name(), one.usage().replace(/\[options\] ?/, '')].join(' ').trim() });

/** Set by the command that ran. */
let exitStatus = 0;
let common: Common = {};
const paper = paperOf(process.stdout, process.env);

// The options all have may stand before the command too.
program
  .option('--socket <path>', "the daemon's socket")
  .option('--json', 'print JSON')
  .hook('preAction', (_program, action) => {
    common = action.optsWithGlobals();
  });

/** Also known when the command line is not understood. */
function wantsJson(): boolean {
  return process.argv.includes('--json');
}

/** A command with the options all have; `atRest`: it works without a daemon too. */
function command(parent: Command, usage: string, description: string, atRest = false): Command {
  const added = parent
    .command(usage)
    .description(description)
    .option('--socket <path>', "the daemon's socket")
    .option('--json', 'print JSON');
  if (atRest) added.option('--state <dir>', 'the state folder').option('--config <file>', 'the configuration file');
  return added;
}

/** A command that is nothing without one of its own. */
function group(name: string, description: string): Command {
  return program
    .command(name)
    .description(description)
    .option('--socket <path>', "the daemon's socket")
    .option('--json', 'print JSON');
}

function reach<T>(orAtRest: boolean, work: (api: NodeApi) => Promise<T>): Promise<T> {
  return withNode(resolvePaths(common, process.env, process.getuid?.() === 0), orAtRest, work);
}

/** What takes more than a moment, in the words of who waits. */
const waits: Readonly<Record<string, string>> = {
  join: 'asking the members the token names',
  doctor: 'checking this machine and the way out of it',
  trace: 'asking hop after hop',
  leave: 'taking addresses, routes and keys away',
};

async function answer(orAtRest: boolean, work: (api: NodeApi) => Promise<Output>): Promise<void> {
  const verb = program.args[0] ?? '';
  // A passphrase is typed meanwhile, and replies to a ping are shown as they come.
  const isTalking = verb === 'ping' || verb === 'network-key' || verb === 'identity';
  const doing = reach(orAtRest, work);
  const output = await (isTalking ? doing : withProgress(waits[verb] ?? 'waiting for weftd', doing));
  process.stdout.write(wantsJson() ? json(output.json) : output.text);
  if (output.warning !== undefined) process.stderr.write(`weft: ${output.warning}\n`);
  exitStatus = output.status ?? 0;
}

/** Objects say which promise they keep; lists are bare. */
function json(value: unknown): string {
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
  return `${JSON.stringify(isObject ? { schema, ...value } : value)}\n`;
}

function seconds(text: string): number {
  const length = parseDuration(text);
  if (length === undefined || length < 1000) throw new InvalidArgumentError('wanted: a duration such as 90m or 24h');
  return Math.floor(length / 1000);
}

function milliseconds(text: string): number {
  const length = parseDuration(text);
  if (length === undefined || length < 10) throw new InvalidArgumentError('wanted: a duration such as 200ms or 1s');
  return length;
}

function count(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError('wanted: a whole number above 0');
  return Number(text);
}

function collect(text: string, before: readonly string[] = []): string[] {
  return [...before, text];
}

/** Ends with Ctrl-C. */
function interrupted(): AbortSignal {
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => stop.abort());
  return stop.signal;
}

program.commandsGroup('Looking:');
command(program, 'status', 'am I well? exit 0 well, 1 degraded or no network, 2 no daemon').action(() =>
  answer(false, async (api) => {
    const status = await api.status();
    return { json: status, text: view.statusView(status, paper), status: view.isWell(status) ? 0 : 1 };
  }),
);

command(program, 'peers', 'who is there, and how do I reach each').action(() =>
  answer(false, async (api) => {
    const peers = await api.peers();
    return { json: peers, text: view.peersView(peers, paper) };
  }),
);

command(program, 'routes [address-or-name]', 'which way, and what else was possible').action(
  (target: string | undefined) =>
    answer(false, async (api) => {
      const routes = await api.routes(target === undefined ? {} : { target });
      return { json: routes, text: view.routesView(routes, paper) };
    }),
);

command(program, 'why <name-or-address>', 'the decision in words: each candidate and why not').action(
  (target: string) =>
    answer(false, async (api) => {
      const why = await api.why({ target });
      return { json: why, text: view.whyView(why, paper) };
    }),
);

program.commandsGroup('Membership:');
command(program, 'init', 'found a network; this machine is its first issuer', true)
  .option('--name <name>', 'how other nodes call this machine')
  .option('--prefix <prefix>', 'an IPv6 prefix of your own, /40 to /56')
  .action((options: { readonly name?: string; readonly prefix?: string }) =>
    answer(true, async (api) => {
      const { name, prefix } = options;
      const membership = await api.init({ ...(name && { name }), ...(prefix && { prefix }) });
      const advice =
        'Keep a copy of the network key elsewhere, now: weft network-key export FILE\nAdmit another machine: weft invite\n';
      return { json: membership, text: view.membershipView(membership) + advice };
    }),
  );

interface InviteFlags {
  readonly name?: string;
  readonly expires?: number;
  readonly endpoint?: readonly string[];
  readonly as?: string;
  readonly lan?: readonly string[];
}

command(program, 'invite', 'a one-time token for another machine', true)
  .option('--name <name>', 'the name the new node gets')
  .option('--expires <duration>', 'how long the token is good for (24h)', seconds)
  .option('--endpoint <host:port>', 'where a member can be reached; may be given more than once', collect)
  .option('--as <name>', 'the new machine takes the place and address of this node, whose key is revoked')
  .option('--lan <prefix>', 'a LAN prefix the new node may announce; may be given more than once', collect)
  .action((options: InviteFlags) =>
    answer(true, async (api) => {
      const invitation = await api.invite({
        ...(options.name && { name: options.name }),
        ...(options.expires && { expiresSeconds: options.expires }),
        ...(options.endpoint && { endpoints: options.endpoint }),
        ...(options.as && { as: options.as }),
        ...(options.lan && { lan: options.lan }),
      });
      const { warning } = invitation;
      return { json: invitation, text: view.invitationView(invitation), ...(warning !== null && { warning }) };
    }),
  );

command(program, 'join <token>', 'become a member; "-" reads the token from standard input', true)
  .option('--name <name>', 'how other nodes call this machine')
  .action((token: string, options: { readonly name?: string }) =>
    answer(true, async (api) => {
      const text = token === '-' ? readSealed('-') : token;
      const membership = await api.join({ token: text, ...(options.name && { name: options.name }) });
      return { json: membership, text: view.membershipView(membership) };
    }),
  );

command(program, 'leave', 'undo join: keys, addresses and routes go', true)
  .option('--force', 'also when this machine has the only copy of the network key')
  .action((options: { readonly force?: boolean }) =>
    answer(true, async (api) => {
      const membership = await api.leave(options.force ? { force: true } : {});
      const text = `${membership.node.name} has left network ${membership.network.id}\n`;
      return { json: membership, text };
    }),
  );

program.commandsGroup('Who may admit, and who is out:');
const issuer = group('issuer', 'who may admit');
command(issuer, 'add <name>', 'let a node admit others').action((name: string) =>
  answer(false, async (api) => {
    const row = await api.issuerAdd({ name });
    return { json: row, text: `${row.name} may admit others now, in ${row.prefix}\n` };
  }),
);
command(issuer, 'list', 'all issuers').action(() =>
  answer(false, async (api) => {
    const rows = await api.issuerList();
    return { json: rows, text: view.issuersView(rows, paper) };
  }),
);
command(issuer, 'revoke <name>', 'let it admit nobody any more; whom it admitted stays')
  .option('--stolen', 'its key is in wrong hands: whom it admitted is out too, and has to be invited again')
  .action((name: string, options: { readonly stolen?: boolean }) =>
    answer(false, async (api) => {
      const row = await api.issuerRevoke({ name, ...(options.stolen && { stolen: true }) });
      const others = options.stolen ? '; whom it admitted is out' : '; whom it admitted stays';
      return { json: row, text: `${row.name} admits nobody any more${others}\n` };
    }),
  );

command(program, 'grant <name>', 'which LAN prefixes a node may announce: exactly those given here')
  .option('--lan <prefix>', 'a LAN prefix; may be given more than once', collect)
  .action((name: string, options: { readonly lan?: readonly string[] }) =>
    answer(false, async (api) => {
      const grant = await api.grant({ name, lan: options.lan ?? [] });
      return { json: grant, text: `${grant.name} may announce ${grant.lan.join(', ') || 'no LAN prefix'}\n` };
    }),
  );

command(program, 'revoke <name>', 'shut a node out: its key is void, everywhere, at once').action((name: string) =>
  answer(false, async (api) => {
    const revoked = await api.revoke({ name });
    return { json: revoked, text: `${revoked.name} (${revoked.id}) is out\n` };
  }),
);

interface KeyFlags {
  readonly passphraseFile?: string;
}

function keyCommand(parent: Command, usage: string, description: string): Command {
  return command(parent, usage, description, true).option(
    '--passphrase-file <file>',
    'its first line is the passphrase',
  );
}

program.commandsGroup('Keys:');
const networkKey = group('network-key', 'the key that founds the network');
keyCommand(networkKey, 'export <file>', 'a copy sealed under a passphrase; "-" prints it').action(
  (file: string, options: KeyFlags) =>
    answer(true, async (api) => {
      const passphrase = await readPassphrase(options.passphraseFile, true);
      const { sealed } = await api.networkKeyExport({ passphrase });
      writeSealed(file, sealed);
      // Only a copy that was written whole and opens counts as one.
      await api.networkKeyKept({ sealed: file === '-' ? sealed : readSealed(file), passphrase });
      return { json: { file }, text: file === '-' ? '' : view.exportedKeyView(file) };
    }),
);
command(networkKey, 'remove', 'take it off this machine, once exported; import brings it back', true).action(() =>
  answer(true, async (api) => {
    const network = await api.networkKeyRemove({});
    return { json: { network }, text: `the key of network ${network.id} is no longer on this machine\n` };
  }),
);
keyCommand(networkKey, 'import <file>', 'bring it back').action((file: string, options: KeyFlags) =>
  answer(true, async (api) => {
    const sealed = readSealed(file);
    const network = await api.networkKeyImport({
      sealed,
      passphrase: await readPassphrase(options.passphraseFile, false),
    });
    return { json: { network }, text: `the key of network ${network.id} is here\n` };
  }),
);

const identity = group('identity', "this machine's own keys and certificate");
keyCommand(identity, 'export <file>', 'a copy sealed under a passphrase; "-" prints it').action(
  (file: string, options: KeyFlags) =>
    answer(true, async (api) => {
      const { sealed } = await api.identityExport({ passphrase: await readPassphrase(options.passphraseFile, true) });
      writeSealed(file, sealed);
      return { json: { file }, text: file === '-' ? '' : `the identity of this node is in ${file}\n` };
    }),
);
keyCommand(identity, 'import <file>', 'be that node, on a machine that is none yet').action(
  (file: string, options: KeyFlags) =>
    answer(true, async (api) => {
      const sealed = readSealed(file);
      const membership = await api.identityImport({
        sealed,
        passphrase: await readPassphrase(options.passphraseFile, false),
      });
      return { json: membership, text: view.membershipView(membership) };
    }),
);

program.commandsGroup('Names and addresses:');
const app = group('app', 'stable addresses for apps');
command(app, 'add <name>', 'the address of an app on this machine; the same name, the same address').action(
  (name: string) =>
    answer(false, async (api) => {
      const row = await api.appAdd({ name });
      return { json: row, text: `${row.address}\n` };
    }),
);
command(app, 'list', 'all apps of this machine').action(() =>
  answer(false, async (api) => {
    const rows = await api.appList();
    return { json: rows, text: view.appsView(rows, paper) };
  }),
);
command(app, 'remove <name>', 'take its address away').action((name: string) =>
  answer(false, async (api) => {
    const row = await api.appRemove({ name });
    return { json: row, text: `${row.name} has no address any more\n` };
  }),
);

command(program, 'resolve <name>', 'the address of NAME or APP@NAME').action((target: string) =>
  answer(false, async (api) => {
    const resolved = await api.resolve({ target });
    return { json: resolved, text: `${resolved.address}\n` };
  }),
);

program.commandsGroup('Finding out what is wrong:');
command(program, 'doctor', 'checks, evidence, remedy', true).action(() =>
  answer(true, async (api) => {
    const checks = await api.doctor();
    const status = checks.some((check) => check.state === 'error') ? 1 : 0;
    return { json: checks, text: view.doctorView(checks, paper), status };
  }),
);

command(program, 'trace <name-or-address>', 'each hop through the overlay').action((target: string) =>
  answer(false, async (api) => {
    const hops = await api.trace({ target });
    return { json: hops, text: view.traceView(hops, paper), status: hops.at(-1)?.rttMs == null ? 1 : 0 };
  }),
);

interface PingFlags {
  readonly count: number;
  readonly interval?: number;
  readonly size?: number;
}

command(program, 'ping <name-or-address>', 'round trips through the overlay; exit 1 when none came back')
  .option('-c, --count <n>', 'how many', count, 5)
  .option('-i, --interval <duration>', 'how long between two (1s)', milliseconds)
  .option('-s, --size <octets>', 'octets in each', count)
  .action((target: string, options: PingFlags) =>
    answer(false, async (api) => {
      const replies: PingReply[] = [];
      const wanted = {
        target,
        count: options.count,
        ...(options.interval && { intervalMs: options.interval }),
        ...(options.size && { size: options.size }),
      };
      const onReply = (reply: PingReply) => {
        replies.push(reply);
        if (!wantsJson()) process.stdout.write(view.pingReplyView(reply));
      };
      await api.ping(wanted, onReply, interrupted());
      const summary = view.pingSummary(replies);
      return {
        json: { target, ...summary, replies },
        text: view.pingSummaryView(summary),
        status: summary.received > 0 ? 0 : 1,
      };
    }),
  );

program.commandsGroup('Live views:');
command(program, 'top', 'a live view of who sends what')
  .option('-i, --interval <duration>', 'how often (1s)', milliseconds)
  .action((options: { readonly interval?: number }) => {
    const clear = process.stdout.isTTY ? '\u001b[H\u001b[2J' : '';
    return reach(false, (api) =>
      api.top(
        options.interval ? { intervalMs: options.interval } : {},
        (frame) => process.stdout.write(wantsJson() ? json(frame) : clear + view.topView(frame, paper)),
        interrupted(),
      ),
    );
  });

command(program, 'log', 'the log, as it is written')
  .option('--level <level>', 'debug, info, warn or error', 'info')
  .action((options: { readonly level: string }) =>
    reach(false, (api) =>
      api.log({ level: options.level }, (line) => process.stdout.write(`${JSON.stringify(line)}\n`), interrupted()),
    ),
  );

command(program, 'events', 'what happens in the network, as it happens').action(() =>
  reach(false, (api) =>
    api.events({}, (event) => process.stdout.write(wantsJson() ? json(event) : view.eventView(event)), interrupted()),
  ),
);

program.commandsGroup('Else:');
program
  .command('config')
  .description('a configuration file with every key and its default')
  .action(() => {
    process.stdout.write(configSample());
  });

/** Commander's complaint about how it was called, as one of ours. */
function misuse(error: CommanderError): MeshError {
  const help = 'see weft --help, or weft COMMAND --help';
  if (error.code === 'commander.help') return new MeshError('usage', 'a command is missing', help);
  const [message = '', hint] = error.message.replace(/^error: /, '').split('\n');
  const meant = /^\(Did you mean (.+)\?\)$/.exec(hint ?? '')?.[1];
  return new MeshError('usage', message, meant === undefined ? help : `did you mean "${meant}"? ${help}`);
}

function fail(error: unknown): number {
  if (error instanceof CommanderError && error.exitCode === 0) return 0;
  const mistake = error instanceof CommanderError ? misuse(error) : error;
  if (!(mistake instanceof MeshError)) throw mistake;
  const { code, message, cure } = mistake;
  const isHelpShown = error instanceof CommanderError && error.code === 'commander.help';
  if (!isHelpShown) process.stderr.write(`weft: ${message}; ${cure}\n`);
  if (wantsJson()) process.stdout.write(`${JSON.stringify({ error: { code, message, cure } })}\n`);
  return code === 'no-daemon' && program.args[0] === 'status' ? 2 : 1;
}

// Whoever reads us may have seen enough, as in "weft log | head".
process.stdout.on('error', () => process.exit(exitStatus));

try {
  await program.parseAsync();
} catch (error) {
  exitStatus = fail(error);
}
process.exit(exitStatus);
