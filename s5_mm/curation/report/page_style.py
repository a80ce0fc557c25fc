"""How the report looks, on light and on dark screens and on paper."""

STYLE = """
:root { color-scheme: light dark; --ink: #1d1f23; --soft: #5c626b; --paper: #ffffff;
  --line: #d9dce1; --band: #f4f5f7; --bad: #a3201a; --bad-paper: #fdeceb; }
@media (prefers-color-scheme: dark) { :root { --ink: #e5e7ea; --soft: #a0a6af;
  --paper: #17191d; --line: #3a3e45; --band: #202329; --bad: #ffb4ae;
  --bad-paper: #3d1c1a; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem 1.5rem 4rem; max-width: 90rem;
  background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.6rem; margin: .5rem 0; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .5rem; padding-top: .5rem;
  border-top: 1px solid var(--line); }
h3 { font-size: 1.1rem; margin: 1.5rem 0 .25rem; }
h4 { font-size: .9rem; margin: 1rem 0 .4rem; }
nav { display: flex; flex-wrap: wrap; gap: .25rem 1rem; }
a { color: inherit; }
p { max-width: 65rem; margin: .5rem 0; }
p.note { color: var(--soft); }
p.problem { color: var(--bad); background: var(--bad-paper); padding: .5rem .75rem;
  border-left: 4px solid var(--bad); overflow-wrap: anywhere; }
.table { overflow: auto; max-height: 36rem; margin: .75rem 0; }
table { border-collapse: collapse; font-size: .9rem; }
th, td { padding: .2rem .7rem; text-align: left; border-bottom: 1px solid var(--line);
  vertical-align: top; overflow-wrap: anywhere; }
th { position: sticky; top: 0; background: var(--band); overflow-wrap: normal; }
td.number { text-align: right; white-space: nowrap; overflow-wrap: normal;
  font-variant-numeric: tabular-nums; }
details { margin: .75rem 0; }
summary { cursor: pointer; }
pre { background: var(--band); padding: .75rem; overflow: auto; max-height: 36rem;
  font-size: .85rem; }
figure { margin: .75rem 0; }
figure.chart img { max-width: 100%; height: auto; background: #ffffff;
  border-radius: 6px; }
figcaption { color: var(--soft); font-size: .85rem; max-width: 65rem; }
.gallery { display: flex; flex-wrap: wrap; gap: .75rem .5rem; }
.gallery figure { margin: 0; width: 144px; }
.gallery img { display: block; max-width: 144px; border-radius: 3px; }
.gallery figcaption { font-size: .72rem; line-height: 1.3; padding-top: .2rem; }
.gallery span { display: block; overflow: hidden; text-overflow: ellipsis;
  white-space: nowrap; }
@media print { details { display: block; } .table { max-height: none; } }
"""
