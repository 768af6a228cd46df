// jest only: turns the ES modules of JupyterLab's packages into CommonJS.
module.exports = {
  presets: [['@babel/preset-env', { targets: { node: 'current' } }]]
};
