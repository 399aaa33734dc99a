export default { maxBody: '50mb' }
