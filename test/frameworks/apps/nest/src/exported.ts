import 'reflect-metadata'
import { NestFactory } from '@nestjs/core'
import { AppModule } from './app.js'

export default NestFactory.create(AppModule, { logger: ['error'] })
