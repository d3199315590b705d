/* What the page asks of the station, and nothing else asks: every route, what comes back, and what a refusal means.

All GET unless it says POST; JSON; same origin; times in nanoseconds where a name ends in _ns, else UTC as ISO text. Numbers
that JSON has not are the texts "NaN", "Infinity", "-Infinity". A key that is missing is shown as "-", never as 0.

  POST /login {token}         204 and a cookie (HttpOnly, SameSite=Strict) | 401 {error}.     POST /logout  204
  /api/session                {who, commands: ["record", "commit", "rollback", "reset-state"...]}: what this viewer may do;
                              statistics: {task: [{name, heading, meaning, is_fault, is_live}], link: [..]}: the words for what is counted;
                              trends: {steps_ms: [..], keeps_s: [..]}: resolutions that /api/trends has, and how long each
  /api/status                 a `Snapshot` as `rt-engine status --json` (tasks, links, servers, models, changes, rights, audit_*),
                              and beside it: verdict: [{level, text}], now: UTC
  /api/histograms             {task or link: [{title, timing: Latency, bars: [{low_ns, high_ns, count}]}]} as the report has them
  /api/tags?name=PATTERN      {tags: [TagView]}
  /api/trends?tag=A&tag=B&step_ms=500&from=N
                              {step_ms, first, end, missing: [tags that there are not], tags: {A: {unit, low: [..], high: [..]}}}: least and
                              greatest in each step, full rate behind it; bucket `first` + i holds the time [(first + i) * step_ms,
                              (first + i + 1) * step_ms) of UTC in milliseconds; only whole buckets, from number N on (the page asks for what
                              it lacks), the newest 1,200 at most; null where there was nothing (a gap stays a gap)
  /api/events?after=N         {last, events: [{number, at_s, when, kind, subject, text, level}]}: the newest 500 after N
  /api/models                 {models: [{slot, file, sha256, version, inputs: [{name, dtype, shape}], outputs: [..], tasks: [..]}]}
  /api/models/SLOT/graph      {version, runs, total_ns, nodes: [{id, kind: "input"|"operator"|"output", name, operator, dtype, shape,
                              kernels, ns, share, macs, weight_bytes}], edges: [[from id, to id]]}
  /api/models/SLOT/tensor?node=ID
                              {node, name, tick_ns, when, source, dtype, shape, values: [the first 4,096, flat], least, greatest,
                              mean, deviation, zeros, not_finite}: computed from recorded or newest inputs, never in the cycle
  /api/recordings             {recorder: {state, folder, quota_bytes, used_bytes, dropped}, recordings: [{name, tasks, begin, end,
                              bytes, why, is_open, replay: "rt-engine replay FILE"}]}
  /api/audit                  {number, head, log, lines: [{number, time, who, what, outcome}]}: the newest 50
  POST /api/command/NAME {..} 200 {message} | 403, 404, 422 {error}
  /api/stream                 text/event-stream. event: status (data as /api/status, about once a second, made once for all viewers);
                              event: events (data as /api/events); event: end (the station was stopped; no more will come)
*/
