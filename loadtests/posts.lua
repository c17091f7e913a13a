-- wrk: posts to the ledger, each under its own key. Arguments: API key, accounts, hot (0 or 1), entries a request, and how many of
-- a hundred are of an account without money, so that the ledger refuses them.
local thread_count = 0
local n, key, accounts, hot, batch, poor, run = 0, nil, 0, false, 1, 0, ""

function setup(thread)
   thread:set("number", thread_count)
   thread_count = thread_count + 1
end

function init(args)
   key, accounts, hot, batch, poor = args[1], tonumber(args[2]), args[3] == "1", tonumber(args[4]), tonumber(args[5])
   math.randomseed(os.time() * 100 + number)
   run = string.format("%08x-%d", math.random(0, 0x7fffffff), number)
end

local function path(i) return string.format("liabilities/account-%06d", i) end
local function penniless(i) return string.format("liabilities/penniless-%06d", i) end

local function entry()
   local from = math.random(0, accounts - 1)
   local to = hot and 0 or math.random(0, accounts - 2)
   if hot and from == 0 then from = 1 elseif not hot and to >= from then to = to + 1 end
   return string.format(
      '"kind":"transfer","reference":"loadtests/transfer","postings":[{"account":"%s","side":"debit","amount":"0.01","currency":"MXN"},{"account":"%s","side":"credit","amount":"0.01","currency":"MXN"}]}',
      math.random(0, 99) < poor and penniless(from) or path(from), path(to))
end

function request()
   n = n + 1
   local headers = { ["Authorization"] = "Bearer " .. key, ["Content-Type"] = "application/json",
                     ["Idempotency-Key"] = run .. "-" .. n }
   if batch == 1 then return wrk.format("POST", "/v1/entries", headers, "{" .. entry()) end
   local entries = {}
   for i = 1, batch do entries[i] = string.format('[{"idempotency_key":"%s-%d-%d",', run, n, i) .. entry() .. "]" end
   return wrk.format("POST", "/v1/entries/batch", headers, '{"groups":[' .. table.concat(entries, ",") .. "]}")
end

local refused = 0
function response(status)
   if status ~= 201 and status ~= 200 and not (poor > 0 and status == 422) then refused = refused + 1; if refused < 3 then print("answered " .. status) end end
end
