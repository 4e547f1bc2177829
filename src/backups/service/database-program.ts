// One statement on a database, with the operating system's locks: `database-program.js PATH SQL`. Node.js 24 has SQLite.
const [, , path = '', sql = ''] = process.argv;
// Not among the modules of the oldest Node.js that the service runs on.
const { DatabaseSync } = await import(['node', 'sqlite'].join(':'));
const database = new DatabaseSync(path, { timeout: 60_000 });
for (const row of database.prepare(sql).all()) process.stdout.write(`${Object.values(row).join('|')}\n`);
database.close();
