/**
 * The mail's HTML. Tables and inline styles because Outlook lays out with Word's engine; the dark colours are only a
 * media query, which the clients that don't know it ignore. It is a string and not a file, so that the built service
 * needs nothing but its modules.
 */
export const mailTemplate = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="supported-color-schemes" content="light dark">
<title><%= it.report.title %></title>
<style>
:root { color-scheme: light dark; }
@media (prefers-color-scheme: dark) {
  .page { background-color: #15181c !important; color: #e6e8eb !important; }
  .card { background-color: #1e2227 !important; border-color: #343a41 !important; }
  .soft { color: #a9b1ba !important; }
  .rule { border-color: #343a41 !important; }
  .evidence { background-color: #15181c !important; color: #c9d0d7 !important; border-color: #4a525b !important; }
}
@media (max-width: 480px) { .pad { padding-left: 12px !important; padding-right: 12px !important; } }
</style>
</head>
<body class="page" bgcolor="#f3f4f6" style="margin:0;padding:0;background-color:#f3f4f6;color:#1c2126;font-family:-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif;font-size:15px;line-height:1.45;">
<table class="page" role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0" bgcolor="#f3f4f6" style="background-color:#f3f4f6;">
<tr><td align="center" style="padding:16px 8px;">
<table class="card" role="presentation" width="680" cellpadding="0" cellspacing="0" border="0" bgcolor="#ffffff" style="width:100%;max-width:680px;background-color:#ffffff;border:1px solid #d9dde2;border-radius:6px;text-align:left;">
<tr><td class="pad" style="padding:20px 24px 14px 24px;">
<h1 style="margin:0 0 8px 0;font-size:20px;line-height:1.3;"><%= it.report.title %></h1>
<p style="margin:0 0 8px 0;"><%~ badge(it.report.verdict) %>&nbsp; <%= it.report.summary %></p>
<p class="soft" style="margin:0;font-size:13px;color:#59636e;"><%= it.report.target %>, <%= it.time %>, took <%= it.took %></p>
</td></tr>
<% for (const section of it.report.sections) { %>
<tr><td class="pad rule" style="padding:14px 24px 2px 24px;border-top:1px solid #e3e6ea;">
<h2 style="margin:0 0 4px 0;font-size:16px;line-height:1.3;"><%= section.title %></h2>
</td></tr>
<tr><td class="pad" style="padding:0 24px 12px 24px;">
<% if ('quoted' in section) { %>
<pre class="evidence" style="margin:5px 0 0 0;padding:6px 8px;background-color:#f3f4f6;color:#39424b;border-left:3px solid #c3c9d0;font-family:ui-monospace,Consolas,Menlo,monospace;font-size:12px;line-height:1.4;white-space:pre-wrap;word-break:break-word;overflow-wrap:anywhere;"><%= section.quoted %></pre>
<% } else if ('rows' in section) { %>
<table width="100%" cellpadding="0" cellspacing="0" border="0" style="font-size:13px;">
<tr><% for (const column of section.columns) { %><th align="left" class="soft" style="padding:3px 8px 3px 0;color:#59636e;"><%= column %></th><% } %></tr>
<% for (const row of section.rows) { %>
<tr><% for (const cell of row) { %><td valign="top" class="rule" style="padding:3px 8px 3px 0;border-top:1px solid #e3e6ea;word-break:break-word;overflow-wrap:anywhere;"><%= cell %></td><% } %></tr>
<% } %>
</table>
<% } else { %>
<table role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0">
<% for (const finding of section.findings) { %>
<tr>
<td valign="top" width="84" style="width:84px;padding:5px 0;"><%~ badge(finding.verdict) %></td>
<td valign="top" style="padding:5px 0;word-break:break-word;overflow-wrap:anywhere;">
<strong><%= finding.check %></strong>: <%= finding.summary %>
<% if (finding.remedy !== undefined) { %>
<div style="margin:3px 0 0 0;">To do: <%= finding.remedy %></div>
<% } %>
<% if (finding.evidence !== undefined) { %>
<pre class="evidence" style="margin:5px 0 0 0;padding:6px 8px;background-color:#f3f4f6;color:#39424b;border-left:3px solid #c3c9d0;font-family:ui-monospace,Consolas,Menlo,monospace;font-size:12px;line-height:1.4;white-space:pre-wrap;word-break:break-word;overflow-wrap:anywhere;"><%= finding.evidence %></pre>
<% } %>
</td>
</tr>
<% } %>
</table>
<% } %>
</td></tr>
<% } %>
</table>
<p class="soft" style="margin:12px 0 0 0;font-size:12px;color:#59636e;">Sent by Proxmox MCP. Grey boxes quote what the host said.</p>
</td></tr>
</table>
<% function badge(verdict) { const b = it.badges[verdict]; return '<span style="display:inline-block;padding:1px 8px;border-radius:4px;font-size:12px;font-weight:600;line-height:1.5;white-space:nowrap;background-color:' + b.fill + ';color:' + b.ink + ';">' + b.word + '</span>'; } %>
</body>
</html>
`;
