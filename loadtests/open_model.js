// k6: single posts at a constant arrival rate, each under its own key, between random pairs of accounts.
import http from 'k6/http';
import exec from 'k6/execution';
import { check } from 'k6';

const url = __ENV.URL, key = __ENV.KEY, run = __ENV.RUN;
const accounts = Number(__ENV.ACCOUNTS), rate = Number(__ENV.RATE), batch = Number(__ENV.BATCH);

export const options = {
  discardResponseBodies: true,
  summaryTrendStats: ['med', 'p(99)', 'max'],
  scenarios: {
    posts: {
      executor: 'constant-arrival-rate', rate: rate / batch, timeUnit: '1s', duration: `${__ENV.SECONDS}s`,
      preAllocatedVUs: Math.min(400, Math.max(20, Math.round(rate / batch / 5))), maxVUs: 400,
    },
  },
};

const path = (i) => `liabilities/account-${String(i).padStart(6, '0')}`;

function entry(id) {
  const from = Math.floor(Math.random() * accounts);
  const to = (from + 1 + Math.floor(Math.random() * (accounts - 1))) % accounts;
  return {
    kind: 'transfer', reference: 'loadtests/transfer', ...(id ? { idempotency_key: id } : {}),
    postings: [
      { account: path(from), side: 'debit', amount: '0.01', currency: 'MXN' },
      { account: path(to), side: 'credit', amount: '0.01', currency: 'MXN' },
    ],
  };
}

export default function () {
  const id = `${run}-${exec.scenario.iterationInTest}`;
  const headers = { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json' };
  let answer;
  if (batch === 1) {
    answer = http.post(`${url}/v1/entries`, JSON.stringify(entry()), { headers: { ...headers, 'Idempotency-Key': id } });
  } else {
    const groups = Array.from({ length: batch }, (_, i) => [entry(`${id}-${i}`)]);
    answer = http.post(`${url}/v1/entries/batch`, JSON.stringify({ groups }), { headers });
  }
  check(answer, { accepted: (r) => r.status === 201 || r.status === 200 });
}
