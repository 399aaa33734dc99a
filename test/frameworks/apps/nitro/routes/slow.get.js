import { slow } from '../../deeds.mjs'

export default defineEventHandler(() => slow())
