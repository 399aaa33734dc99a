import { Controller, Get, Module } from '@nestjs/common'
import { block, hello, never, slow } from '../../deeds.mjs'

@Controller()
class AppController {
  @Get('hello')
  hello() {
    return hello()
  }

  @Get('slow')
  slow() {
    return slow()
  }

  @Get('never')
  never() {
    return never()
  }

  @Get('block')
  block() {
    return block()
  }
}

@Module({ controllers: [AppController] })
export class AppModule {}
