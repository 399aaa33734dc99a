export default () => <h1>hello</h1>
