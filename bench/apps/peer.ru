# What every peer serves when they are compared: peer.cjs for Puma.
require 'securerandom'

raise 'this version does not start' if File.exist?(ENV.fetch('BENCH_BROKEN', ''))

id = "#{Process.pid}.0.#{SecureRandom.hex}"
small = 'x' * 10_000
large = 'x' * 1_000_000

def after(seconds)
  sleep seconds
  'hello'
end

routes = {
  '/' => ->(_) { 'hello' },
  '/10k' => ->(_) { small },
  '/1m' => ->(_) { large },
  '/id' => ->(_) { id },
  '/slow' => ->(_) { after(0.5) },
  '/long' => ->(_) { after(1.5) },
  '/never' => ->(_) { sleep },
  '/while' => ->(_) { loop {} },
  '/throw' => ->(_) { raise 'the sky fell' },
  '/post' => ->(env) { env['rack.input'].read.bytesize.to_s },
}

run lambda { |env|
  body = routes.fetch(env['PATH_INFO']).call(env)
  [200, { 'content-length' => body.bytesize.to_s }, [body]]
}
