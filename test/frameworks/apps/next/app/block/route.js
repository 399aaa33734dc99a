import { block } from '../../../deeds.mjs'

export const dynamic = 'force-dynamic'
export const GET = async () => new Response(await block())
