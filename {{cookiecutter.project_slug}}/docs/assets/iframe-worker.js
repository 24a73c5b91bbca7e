// The search runs in a worker, and browsers start none from a file. There, run its script in a hidden frame.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      document.body.append(frame);
      this.scope = frame.contentWindow;
      this.scope.postMessage = (data) => this.receive(structuredClone(data));
      const script = frame.contentDocument.createElement("script");
      script.src = new URL(url, location);
      this.loaded = new Promise((resolve) => script.addEventListener("load", resolve));
      frame.contentDocument.body.append(script);
    }

    receive(data) {
      setTimeout(() => {
        const message = new MessageEvent("message", { data });
        this.dispatchEvent(message);
        this.onmessage?.(message);
      });
    }

    async postMessage(data) {
      const message = new this.scope.MessageEvent("message", { data: structuredClone(data) });
      await this.loaded;
      this.scope.dispatchEvent(message);
    }

    terminate() {
      this.scope.frameElement.remove();
    }
  };
}
