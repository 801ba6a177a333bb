// Node-RED without editor or accounts. The flow's function finds the pool of connections in `global`:
// what its PostgreSQL node does with each message (one query from a pool of ten), and nothing more.
// The node itself (node-red-contrib-postgresql) is not in every registry; `pg`, which it stands on, is.
const { Pool } = require("pg");

module.exports = {
  flowFile: "flow.json",
  httpAdminRoot: false,
  httpNodeRoot: false,
  credentialSecret: false,
  diagnostics: { enabled: false },
  telemetry: { enabled: false },
  uiHost: "127.0.0.1",
  uiPort: Number(process.env.BENCH_PORT),
  logging: { console: { level: "warn", metrics: false, audit: false } },
  functionGlobalContext: {
    pool: new Pool({ connectionString: process.env.BENCH_DATABASE, max: 10 }),
  },
};
