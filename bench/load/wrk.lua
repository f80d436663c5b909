-- Walks a file of paths, one a line, each perhaps with headers behind it (`Name: value`, a tab before each), from an offset on and around; several at a time when pipelining.
-- Arguments: file, offset, pipelined requests, method, body. Prints one line of JSON at the end.

function init(args)
  local file, offset, depth, method, body = args[1], tonumber(args[2]), tonumber(args[3]), args[4], args[5]
  local headers = {}
  if body ~= "" then
    headers["Content-Type"] = "application/json"
  else
    body = nil
  end
  local built = {}
  local known = {}
  for path in io.lines(file) do
    local text = known[path]
    if text == nil then
      local all = {}
      for name, value in pairs(headers) do all[name] = value end
      for name, value in path:gmatch("\t([^:\t]+): ([^\t]*)") do all[name] = value end
      text = wrk.format(method, path:match("^[^\t]*"), all, body)
      known[path] = text
    end
    built[#built + 1] = text
  end
  blobs = built
  if depth > 1 then
    blobs = {}
    for first = 1, #built - depth + 1, depth do
      blobs[#blobs + 1] = table.concat(built, "", first, first + depth - 1)
    end
  end
  position = math.floor(offset / depth) % #blobs
end

function request()
  position = position + 1
  local blob = blobs[position]
  if blob == nil then
    position = 1
    blob = blobs[1]
  end
  return blob
end

function done(summary, latency, requests)
  local points = {}
  for _, share in ipairs({ 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 0.9995, 0.9999 }) do
    points[#points + 1] = string.format("[%g,%g]", share, latency:percentile(share * 100) / 1000)
  end
  local e = summary.errors
  print(string.format(
    'RESULT {"requests":%d,"answered":%d,"seconds":%g,"errors":%d,"latency":[%s]}',
    summary.requests, summary.requests, summary.duration / 1e6, e.connect + e.read + e.write + e.status + e.timeout,
    table.concat(points, ",")))
end
