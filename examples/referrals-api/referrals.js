// One look at each table, whatever their size: a query for the tests of each referral was what made the pages slow.

/** Referrals with their tests, by the practitioner. */
export function joinReferrals(referrals, tests) {
  const testsOf = grouped(tests, ({ referral }) => referral)
  const joined = referrals.map((one) => ({ ...one, tests: testsOf.get(one.id) ?? [] }))
  return grouped(joined, ({ practitioner }) => practitioner)
}

function grouped(items, keyOf) {
  const groups = new Map()
  for (const item of items) {
    const key = keyOf(item)
    if (!groups.has(key)) groups.set(key, [])
    groups.get(key).push(item)
  }
  return groups
}
