-- What wrk sends: a POST of 10 kB.
wrk.method = 'POST'
wrk.body = string.rep('x', 10000)
