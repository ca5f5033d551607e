/* Search from file://, where browsers start no workers: the worker's script runs in a hidden frame instead.
   Of the Worker interface it has what Material for MkDocs uses: postMessage, message events, terminate, importScripts. */
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super()
      this.frame = document.createElement("iframe")
      this.frame.hidden = true
      const setup = () => {
        window.postMessage = data => parent.postMessage({ fromFrameWorker: true, data }, "*")
        window.importScripts = (...urls) => urls.reduce((done, src) => done.then(() => new Promise((resolve, reject) => {
          const script = document.createElement("script")
          Object.assign(script, { src, onload: resolve, onerror: reject })
          document.body.append(script)
        })), Promise.resolve())
      }
      this.frame.srcdoc =
        `<body><script>(${setup})()</` + `script><script src="${new URL(url, location)}"></` + `script></body>`
      this.ready = new Promise(resolve => this.frame.addEventListener("load", resolve))
      this.listener = event => {
        if (event.source !== this.frame.contentWindow || !event.data.fromFrameWorker) return
        const message = new MessageEvent("message", { data: event.data.data })
        this.dispatchEvent(message)
        if (this.onmessage) this.onmessage(message)
      }
      addEventListener("message", this.listener)
      document.body.append(this.frame)
    }
    postMessage(data) {
      this.ready.then(() => this.frame.contentWindow.dispatchEvent(new MessageEvent("message", { data })))
    }
    terminate() {
      removeEventListener("message", this.listener)
      this.frame.remove()
    }
  }
}
