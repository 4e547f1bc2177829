/** The page at `/docs`. A string and not a file, so that the built service needs nothing but its modules. */
export const docsTemplate = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Proxmox MCP: tools and operations</title>
<style>
:root { color-scheme: light dark; --page: #f6f7f9; --card: #fff; --ink: #1c2126; --soft: #59636e; --line: #dfe3e8; --code: #eef1f4; --accent: #b4410b; }
@media (prefers-color-scheme: dark) { :root { --page: #14171a; --card: #1c2024; --ink: #e6e8eb; --soft: #a3acb5; --line: #333a41; --code: #262b31; --accent: #ff9a5c; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.55 -apple-system, "Segoe UI", Roboto, Helvetica, Arial, sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .4rem; }
h2 { font-size: 1.3rem; margin: 2.6rem 0 .8rem; }
h3 { font-size: 1.05rem; margin: 0; }
p { margin: .5rem 0; }
a { color: var(--accent); }
code, pre { font: .875em/1.5 ui-monospace, "SF Mono", Menlo, Consolas, monospace; background: var(--code); border-radius: 4px; }
code { padding: .1em .35em; }
pre { padding: .8rem 1rem; overflow-x: auto; }
.lead, .soft { color: var(--soft); }
.lead { font-size: 1.1rem; max-width: 44rem; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 1rem 1.2rem; margin: 0 0 .9rem; }
.head { display: flex; flex-wrap: wrap; gap: .3rem .6rem; align-items: baseline; }
.tag { font-size: .78rem; font-weight: 600; border-radius: 99px; padding: .05rem .6rem; border: 1px solid currentColor; white-space: nowrap; }
.read { color: #1a7f37; } .operate { color: #9a6700; } .admin { color: #c9252d; }
@media (prefers-color-scheme: dark) { .read { color: #57ab5a; } .operate { color: #d4a72c; } .admin { color: #ff7b72; } }
table { width: 100%; border-collapse: collapse; margin: .7rem 0 .2rem; font-size: .93rem; }
th { text-align: left; font-weight: 600; color: var(--soft); font-size: .8rem; }
th, td { padding: .35rem .8rem .35rem 0; border-top: 1px solid var(--line); vertical-align: top; }
tr > :first-child { white-space: nowrap; }
ol.steps { display: flex; flex-wrap: wrap; gap: .3rem 1.6rem; padding-left: 1.2rem; margin: .5rem 0; font-size: .93rem; }
nav { display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; margin: 1.2rem 0 0; }
</style>
</head>
<body>
<main>
<h1>Proxmox MCP</h1>
<p class="lead">Every procedure of an administrator of Proxmox VE hosts as a durable workflow: started by an MCP client, the command line or a schedule; it survives whatever dies meanwhile.</p>
<nav><a href="#connect">Connect</a><a href="#operations">Operations</a><a href="#tools">Other tools</a><a href="#prompts">Prompts</a><a href="#scopes">Scopes</a></nav>

<h2 id="connect">Connect</h2>
<p>The MCP endpoint is <code><%= it.publicUrl %>/api/mcp</code> (Streamable HTTP; protocol 2026-07-28 and 2025-11-25). It needs a bearer token.</p>
<pre>proxmox-mcp token create claude-code --scope operate
claude mcp add --transport http proxmox <%= it.publicUrl %>/api/mcp --header "Authorization: Bearer TOKEN"</pre>

<h2 id="operations">Operations</h2>
<p class="soft">Each starts a run and returns at once with its id and its page in the Temporal UI. <code>search_operations</code> finds them.</p>
<% for (const operation of it.operations) { %>
<section class="card" id="<%= operation.name %>">
<div class="head"><h3><%= operation.title %></h3><code><%= operation.name %></code><%~ tags(operation) %></div>
<p><%= operation.description %></p>
<p class="soft">Started with <% for (const [at, name] of operation.startedWith.entries()) { %><%= at === 0 ? '' : ' or ' %><code><%= name %></code><% } %>.</p>
<ol class="steps"><% for (const step of operation.steps) { %><li><%= step %></li><% } %></ol>
<%~ fields(operation) %>
<% for (const schedule of operation.schedules) { %>
<p><strong>Schedule</strong> <code><%= schedule.cron %></code> in the host's time zone. <span class="soft"><%= schedule.why %></span></p>
<% } %>
</section>
<% } %>

<h2 id="tools">Other tools</h2>
<% for (const tool of it.tools) { %>
<section class="card" id="<%= tool.name %>">
<div class="head"><h3><%= tool.title %></h3><code><%= tool.name %></code><%~ tags(tool) %></div>
<p><%= tool.description %></p>
<%~ fields(tool) %>
</section>
<% } %>

<h2 id="prompts">Prompts</h2>
<% for (const prompt of it.prompts) { %>
<section class="card"><div class="head"><h3><%= prompt.title %></h3><code><%= prompt.name %></code></div><p><%= prompt.description %></p></section>
<% } %>

<h2 id="scopes">Scopes of tokens</h2>
<table>
<tr><th>Scope</th><th>May</th></tr>
<tr><td><span class="tag read">read</span></td><td>look: lists, reports, operations that change nothing</td></tr>
<tr><td><span class="tag operate">operate</span></td><td>also start and cancel operations that change something and can be undone; answer what a paused run asks; pause, resume and trigger schedules</td></tr>
<tr><td><span class="tag admin">admin</span></td><td>also operations that can lose data, access or service; change schedules</td></tr>
</table>
<p class="soft">Version <%= it.version %>. <a href="/health">/health</a> <a href="/metrics">/metrics</a></p>
</main>
</body>
</html>
<% function tags(of) { return of.scopes.map((scope) => '<span class="tag ' + scope + '">' + scope + '</span>').join(' '); } %>
<% function fields(tool) { if (tool.fields.length === 0) return '<p class="soft">No arguments.</p>'; const e = it.escape; return '<table><tr><th>Argument</th><th>Type</th><th></th></tr>' + tool.fields.map((f) => '<tr><td><code>' + e(f.name) + '</code>' + (f.required ? '' : ' <span class="soft">optional</span>') + '</td><td>' + e(f.type) + '</td><td>' + e(f.description) + '</td></tr>').join('') + '</table>'; } %>
`;
