-- Sends the requests of a list, one per line, tabs for CRLF (bench/loads/wrk.py writes it).
-- BENCH_REQUESTS  the list            BENCH_BODY  file with the body of every request, or empty
-- BENCH_THREADS   wrk's threads       BENCH_ONCE  1: send each line once, then end the run; 0: go round
-- BENCH_OUT       where the summary goes, as JSON
local ffi = require("ffi")
ffi.cdef("int kill(int pid, int signal); int getpid(void);")

local threads = tonumber(os.getenv("BENCH_THREADS"))
local once = os.getenv("BENCH_ONCE") == "1"
local heads, body, position, ended, verified = {}, "", 0, false, false

local counter = 0
function setup(thread)
   thread:set("id", counter)
   counter = counter + 1
end

function init(args)
   local path = os.getenv("BENCH_BODY")
   local length = ""
   if path ~= "" then
      local file = assert(io.open(path, "rb"))
      body = file:read("*a")
      file:close()
      length = "\r\nContent-Length: " .. #body
   end
   local number = 0
   for line in io.lines(os.getenv("BENCH_REQUESTS")) do
      if number % threads == id then
         heads[#heads + 1] = line:gsub("\t", "\r\n") .. length .. "\r\n\r\n"
      end
      number = number + 1
   end
end

function request()
   if id == 0 and not verified then
      -- wrk asks its first thread for a request that it only looks at
      verified = true
      return heads[1] .. body
   end
   position = position + 1
   if position > #heads then
      if once and not ended then
         -- wrk ends a run early on SIGINT and then divides by the time that really passed
         ended = true
         ffi.C.kill(ffi.C.getpid(), 2)
      end
      position = 1
   end
   return heads[position] .. body
end

function done(summary, latency, requests)
   local e = summary.errors
   local file = assert(io.open(os.getenv("BENCH_OUT"), "w"))
   file:write(string.format(
      '{"requests": %d, "microseconds": %d, "bytes": %d, "p99_us": %d, "connect": %d, "read": %d,'
         .. ' "write": %d, "status": %d, "timeout": %d}',
      summary.requests, summary.duration, summary.bytes, latency:percentile(99.0), e.connect, e.read,
      e.write, e.status, e.timeout))
   file:close()
end
