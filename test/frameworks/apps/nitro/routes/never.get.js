import { never } from '../../deeds.mjs'

export default defineEventHandler(() => never())
