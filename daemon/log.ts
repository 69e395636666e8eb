import { writeSync } from 'node:fs';
import { pino } from 'pino';
import { MeshError } from '../src/errors.js';
import type { Emit, LogLine } from './api.js';

/**
 * The log: JSON lines on stderr, or short text on a terminal. The only pino import.
 *
 * A message is a fixed lowercase sentence; all that varies is one of these fields. Values are text, numbers and booleans:
 * keys and tokens are octets or objects of their own types and do not pass the compiler; what comes past it at run time is
 * written as "[redacted]", and so is text that looks like a token or a long secret.
 */
export interface LogFields {
  /** Name of the node it is about. */
  node?: string;
  /** Public fingerprint. */
  id?: string;
  address?: string;
  prefix?: string;
  endpoint?: string;
  network?: string;
  device?: string;
  table?: number;
  file?: string;
  socket?: string;
  port?: number;
  /** Kebab-case code of an error or a count. */
  code?: string;
  reason?: string;
  cure?: string;
  count?: number;
  state?: string;
  previous?: string;
  method?: string;
  signal?: string;
  version?: string;
  durationMs?: number;
  rttMs?: number;
  metric?: number;
  seqno?: number;
  link?: number;
  name?: string;
  gateway?: string;
  protocol?: string;
  kind?: string;
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** Calls the listener with every line of this level or above, whatever goes to stderr; returns the end of it. */
  follow(level: LogLevel, listener: (line: LogLine) => void): () => void;
}

const levels: Readonly<Record<LogLevel, number>> = { debug: 20, info: 30, warn: 40, error: 50 };

export function isLogLevel(text: string): text is LogLevel {
  return Object.hasOwn(levels, text);
}

/** `weft log`: emits lines of `level` (info without it) and above until `signal` aborts. */
export function followLog(
  log: Log,
  level: string | undefined,
  emit: Emit<LogLine>,
  signal: AbortSignal,
): Promise<void> {
  const wanted = level ?? 'info';
  if (!isLogLevel(wanted)) {
    throw new MeshError('bad-level', `"${wanted}" is no log level`, `use one of ${Object.keys(levels).join(', ')}`);
  }
  const leave = log.follow(wanted, emit);
  return new Promise((resolve) => {
    const end = () => {
      leave();
      resolve();
    };
    if (signal.aborted) end();
    else signal.addEventListener('abort', end, { once: true });
  });
}

export interface LogSetting {
  readonly level: LogLevel;
  /** Short text instead of JSON. */
  readonly pretty: boolean;
  /** Takes one line with its newline; stderr by default. */
  readonly write?: (line: string) => void;
}

export function createLog(setting: LogSetting): Log {
  const write = setting.write ?? writeToStderr;
  const followers = new Set<{ readonly level: LogLevel; readonly listener: (line: LogLine) => void }>();
  const sink = {
    write(text: string) {
      const line = JSON.parse(text) as LogLine;
      const level = levels[line.level as LogLevel];
      if (level >= levels[setting.level]) write(setting.pretty ? short(line) : text);
      for (const follower of followers) if (level >= levels[follower.level]) follower.listener(line);
    },
  };
  const logger = pino(
    {
      level: setting.level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    sink,
  );
  const lowest = () => {
    const wanted = [setting.level, ...[...followers].map((follower) => follower.level)];
    logger.level = wanted.reduce((a, b) => (levels[a] <= levels[b] ? a : b));
  };
  const at = (level: LogLevel) => (message: string, fields?: LogFields) => logger[level](redacted(fields), message);
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    follow(level, listener) {
      const follower = { level, listener };
      followers.add(follower);
      lowest();
      return () => {
        followers.delete(follower);
        lowest();
      };
    },
  };
}

/** Tokens, and longer unbroken runs of key-like characters than any address, name or fingerprint has. */
const secretLooking = /\bweft1[a-z2-7]{16,}|[A-Za-z0-9+/_=-]{60,}/gi;

/** Text with anything that looks like a token or key cut out: for words that quote what an operator typed. */
export function redactText(text: string): string {
  return text.replace(secretLooking, '[redacted]');
}

function redacted(fields: LogFields = {}): Record<string, unknown> {
  const out: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(fields)) {
    if (typeof value === 'string') out[name] = redactText(value);
    else out[name] = typeof value === 'number' || typeof value === 'boolean' ? value : '[redacted]';
  }
  return out;
}

function short(line: LogLine): string {
  const { time, level, msg, ...fields } = line;
  const rest = Object.entries(fields).map(([name, value]) => {
    const text = String(value);
    return `${name}=${/[\s"]/.test(text) ? JSON.stringify(text) : text}`;
  });
  return `${[String(time).slice(11, 19), String(level).padEnd(5), msg, ...rest].join(' ')}\n`;
}

function writeToStderr(line: string): void {
  try {
    writeSync(2, line);
  } catch {
    // A full pipe or a closed terminal must not stop the node; the line is lost, its followers had it.
  }
}
