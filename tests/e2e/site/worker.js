self.answer = 42; self.onmessage = event => fetch('/echo?' + event.data).then(() => postMessage('done')); console.log('from the worker');
