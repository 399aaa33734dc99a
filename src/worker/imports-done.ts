// The last --import of a worker that has others (tsx, instrumentation): the main module is next.
// Node runs them one after another; without this mark the app loader could not tell when they end.

const { [Symbol.for('nodicorn.importsDone')]: markImportsDone } = globalThis as {
  [mark: symbol]: () => void
}
markImportsDone!()

export {}
