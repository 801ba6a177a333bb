// PostgreSQL 17 with TimescaleDB's Community edition, on a port of the loopback interface.
//
// For the storage tests: the only form in which that edition comes by a package registry is compiled
// to WebAssembly (PGlite). It has one session and no background workers, so connections take turns
// and who wants a policy's job run calls run_job(). What it cannot do by itself is done here:
// several connections, CREATE and DROP DATABASE, COPY FROM STDIN. And what no other server can:
// `SET lab.clock_ahead = SECONDS` sets the clock of all its databases, so that months go by in a test.
//
// Prints its port, and ends when its standard input does.

import { createServer } from "node:net";
import { Databases } from "./databases.mjs";
import {
  body,
  copyIn,
  done,
  failure,
  kind,
  message,
  ownStatement,
  Reader,
  ready,
  welcome,
} from "./wire.mjs";

const CREATE = /^\s*CREATE DATABASE "([^"]+)" TEMPLATE "([^"]+)"/i;
const DROP = /^\s*DROP DATABASE "([^"]+)"/i;
const ALTER = /^\s*ALTER DATABASE /i;
const CLOCK = /^\s*SET lab\.clock_ahead = (\d+)\s*$/i;
const COPY = /^\s*COPY\s+\S+\s*(?:\(([^)]*)\))?\s*FROM STDIN/i;
// What would mean something else in one session for all. No configuration file is read, so the setting
// does not tell of the library that is loaded; and nobody may forget the statements of the others.
const MEANT = [
  ["current_setting('shared_preload_libraries')", "'timescaledb'"],
  ["DEALLOCATE ALL", "RESET application_name"],
];
// After one of these the client waits for an answer: Query, Sync, Flush, CopyDone, CopyFail.
const ENDS = "QSHcf";

const databases = await Databases.open();
const clock = Date.now.bind(Date);
let ahead = 0;
let connections = 0;

// What PostgreSQL asks for the time.
Date.now = () => clock() + ahead;

class Connection {
  #number = ++connections;
  #reader = new Reader();
  #socket;
  #database = null;
  #asked = [];
  #copying = null;
  #work = Promise.resolve();

  constructor(socket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.on("data", (bytes) => this.#read(bytes));
    // The end comes as `close` too.
    socket.on("error", () => {});
    socket.on("close", () => this.#then(async () => this.#database?.leave(this.#number)));
  }

  #read(bytes) {
    for (const { refuse, cancel, startup, message: msg } of this.#reader.take(bytes)) {
      if (refuse) this.#socket.write("N");
      else if (startup) this.#start(startup);
      else if (cancel || kind(msg) === "X") this.#socket.end();
      else this.#ask(msg);
    }
  }

  #start({ user, database }) {
    try {
      this.#database = databases.get(database ?? user);
      this.#socket.write(welcome(this.#number));
    } catch (error) {
      this.#socket.end(failure("3D000", error.message));
    }
  }

  #ask(msg) {
    this.#asked.push(meant(ownStatement(msg, this.#number)));
    if (!ENDS.includes(kind(msg))) return;
    const asked = this.#asked;
    this.#asked = [];
    this.#then(async () => this.#socket.write(await this.#answer(asked)));
  }

  // One after the other. A client is told what went wrong here as if PostgreSQL had said it.
  #then(step) {
    this.#work = this.#work.then(step).catch((error) => {
      this.#socket.write(Buffer.concat([failure("XX000", error.message), ready("I")]));
    });
  }

  async #answer(asked) {
    const query = kind(asked[0]) === "Q" ? body(asked[0]).toString().slice(0, -1) : "";
    if (this.#copying) return this.#copied(asked);
    const command = await administer(query);
    if (command) return done(command);
    await this.#database.turn(this.#number);
    const copy = COPY.exec(query);
    if (!copy) return this.#database.say(asked);
    this.#copying = query;
    return copyIn((copy[1] ?? "").split(",").length, /BINARY/i.test(query));
  }

  async #copied(asked) {
    const query = this.#copying;
    this.#copying = null;
    const data = Buffer.concat(asked.filter((one) => kind(one) === "d").map(body));
    // What came before a failure is not wanted: a statement that fails ends the transaction as well.
    const failed = asked.some((one) => kind(one) === "f");
    const file = failed ? "'/dev/none'" : "'/dev/blob'";
    return this.#database.say([message("Q", query.replace(/STDIN/i, file))], data);
  }
}

async function administer(query) {
  const create = CREATE.exec(query);
  if (create) {
    await databases.create(create[1], create[2]);
    return "CREATE DATABASE";
  }
  const drop = DROP.exec(query);
  if (drop) {
    await databases.drop(drop[1]);
    return "DROP DATABASE";
  }
  const set = CLOCK.exec(query);
  if (set) {
    ahead = Number(set[1]) * 1000;
    return "SET";
  }
  return ALTER.test(query) ? "ALTER DATABASE" : null;
}

function meant(msg) {
  const words = "QP".includes(kind(msg)) && MEANT.find(([said]) => msg.includes(said));
  return words
    ? message(
        kind(msg),
        Buffer.from(
          body(msg)
            .toString()
            .replace(...words),
        ),
      )
    : msg;
}

const server = createServer((socket) => new Connection(socket));
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
process.stdin.on("end", () => process.exit(0)).resume();
