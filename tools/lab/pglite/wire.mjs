// The PostgreSQL frontend/backend protocol, version 3, as far as a server in front of a server needs
// it: taking messages apart, and the few that are answered here.
// https://www.postgresql.org/docs/17/protocol-message-formats.html

const SSL_REQUEST = 80877103;
const GSS_REQUEST = 80877104;
const CANCEL_REQUEST = 80877102;
const READY_LENGTH = 6;

/** The type of a message: one letter. */
export const kind = (message) => String.fromCharCode(message[0]);

/** The body of a message, without type and length. */
export const body = (message) => message.subarray(5);

/** A message of a type with parts (bytes, or texts that end with a zero byte) as its body. */
export function message(type, ...parts) {
  const content = Buffer.concat(
    parts.map((p) => (typeof p === "string" ? Buffer.from(`${p}\0`) : p)),
  );
  const head = Buffer.from(`${type}....`, "latin1");
  head.writeInt32BE(content.length + 4, 1);
  return Buffer.concat([head, content]);
}

/** ReadyForQuery: idle (I), in a transaction (T), in a failed one (E). */
export const ready = (status) => message("Z", Buffer.from(status));

/** The answer to a command that was carried out here. */
export const done = (tag) => Buffer.concat([message("C", tag), ready("I")]);

/** An error with its SQLSTATE. */
export const failure = (code, text) =>
  message("E", "SERROR", "VERROR", `C${code}`, `M${text}`, Buffer.from([0]));

/** CopyInResponse for so many columns, all of them binary or all text. */
export function copyIn(columns, binary) {
  const format = Buffer.from([0, binary ? 1 : 0]);
  const count = Buffer.alloc(2);
  count.writeInt16BE(columns);
  return message("G", format.subarray(1), count, ...Array(columns).fill(format));
}

/** What a server says first. The number is the connection's. */
export function welcome(number) {
  const settings = {
    server_version: "17.5",
    server_encoding: "UTF8",
    client_encoding: "UTF8",
    DateStyle: "ISO, MDY",
    IntervalStyle: "postgres",
    TimeZone: "UTC",
    integer_datetimes: "on",
    standard_conforming_strings: "on",
  };
  const key = Buffer.alloc(8);
  key.writeInt32BE(number);
  return Buffer.concat([
    message("R", Buffer.alloc(4)),
    ...Object.entries(settings).map(([name, value]) => message("S", name, value)),
    message("K", key),
    ready("I"),
  ]);
}

/** The transaction status that an answer ends with, or null when it does not end yet. */
export function statusAfter(answer) {
  const ends = answer.length >= READY_LENGTH && answer[answer.length - READY_LENGTH] === 90;
  return ends ? String.fromCharCode(answer[answer.length - 1]) : null;
}

/**
 * The message with its prepared statement's name made the connection's own: all connections share
 * one session, and each client counts its statements from one. Unnamed ones stay so.
 */
export function ownStatement(msg, number) {
  let at = null;
  if (kind(msg) === "P") at = 5;
  else if (kind(msg) === "B") at = msg.indexOf(0, 5) + 1;
  else if ("DC".includes(kind(msg)) && msg[5] === 0x53) at = 6;
  if (at === null || msg[at] === 0) return msg;
  return message(kind(msg), msg.subarray(5, at), Buffer.from(`c${number}`), msg.subarray(at));
}

/** Takes the bytes of a client apart. */
export class Reader {
  #bytes = Buffer.alloc(0);
  #started = false;

  #first(whole) {
    const code = whole.readInt32BE(4);
    if (code === SSL_REQUEST || code === GSS_REQUEST) return { refuse: true };
    if (code === CANCEL_REQUEST) return { cancel: true };
    this.#started = true;
    const words = whole.subarray(8).toString().split("\0");
    const pairs = words.flatMap((word, n) => (n % 2 ? [] : [[word, words[n + 1]]]));
    return { startup: Object.fromEntries(pairs) };
  }

  /** Yield what is whole by now: {refuse}, {cancel}, {startup: parameters} or {message}. */
  *take(bytes) {
    this.#bytes = Buffer.concat([this.#bytes, bytes]);
    for (;;) {
      const at = this.#started ? 1 : 0;
      if (this.#bytes.length < at + 4) return;
      const length = at + this.#bytes.readInt32BE(at);
      if (this.#bytes.length < length) return;
      const whole = Buffer.from(this.#bytes.subarray(0, length));
      this.#bytes = this.#bytes.subarray(length);
      yield this.#started ? { message: whole } : this.#first(whole);
    }
  }
}
