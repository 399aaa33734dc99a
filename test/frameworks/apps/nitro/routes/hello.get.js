import { hello } from '../../deeds.mjs'

export default defineEventHandler(() => hello())
