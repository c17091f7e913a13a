-- wrk: single posts to the ledger, each under its own key. Arguments: key, market, file of players, hot (0 or 1).
local thread_count = 0
local players, n, key, market, hot, seed = {}, 0, nil, nil, false, 0

function setup(thread)
   thread:set("number", thread_count)
   thread_count = thread_count + 1
end

function init(args)
   key, market, hot = args[1], args[2], args[4] == "1"
   for line in io.lines(args[3]) do players[#players + 1] = line end
   math.randomseed(os.time() * 100 + number)
   seed = math.random(0, 0x7fffffff)
end

local function hold()
   return string.format("%08x-%04x-4%03x-8%03x-%06x%06x", seed, n % 0x10000, math.random(0, 0xfff), number,
      math.random(0, 0xffffff), math.floor(n / 0x10000) * 0x1000 + math.random(0, 0xfff))
end

function request()
   n = n + 1
   local player = hot and players[1] or players[math.random(#players)]
   local id = hold()
   local body = string.format(
      '{"kind":"bet.hold","reference":"markets/%s","postings":[{"account":"players/%s/available","side":"debit","amount":"1.00","currency":"MXN"},{"account":"players/%s/held","side":"credit","amount":"1.00","currency":"MXN","hold":"%s"}]}',
      market, player, player, id)
   return wrk.format("POST", "/v1/entries",
      { ["Authorization"] = "Bearer " .. key, ["Content-Type"] = "application/json", ["Idempotency-Key"] = "load:" .. id },
      body)
end

local refused = 0
function response(status)
   if status ~= 201 then refused = refused + 1; if refused < 3 then print("answered " .. status) end end
end
