import { block } from '../../deeds.mjs'

export default defineEventHandler(() => block())
