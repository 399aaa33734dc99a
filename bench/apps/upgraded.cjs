// Served where --bind says: what bench/upgrade.ts asks.
module.exports = (req, res) => res.end('hello')
