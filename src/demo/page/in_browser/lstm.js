// The exported LSTM in onnxruntime-web. A state holds two arrays, hidden and cell, [layers, hidden_dim] of one text.
export class LSTM {
  constructor(ort, session) {
    [this.Tensor, this.session] = [ort.Tensor, session];
    const { shape } = session.inputMetadata.find(({ name }) => name === "hidden");
    [this.numLayers, , this.hiddenDim] = shape;
  }

  // Reads tokens, equally many in each row, from the rows' states; null is the beginning of a text. Returns the logits
  // after each row's last token and the state there.
  async read(rows, states) {
    const [numRows, { length }] = [rows.length, rows[0]];
    const state = (i) => new this.Tensor("float32", this.joined(states.map((one) => one?.[i])), this.dims(numRows));
    const { logits, next_hidden, next_cell } = await this.session.run({
      input_ids: new this.Tensor("int64", BigInt64Array.from(rows.flat(), BigInt), [numRows, length]),
      hidden: state(0),
      cell: state(1),
    });
    const vocabSize = logits.data.length / numRows;
    return rows.map((_, row) => ({
      logits: logits.data.subarray(row * vocabSize, (row + 1) * vocabSize),
      state: [next_hidden, next_cell].map(({ data }) => this.rowOf(data, row, numRows)),
    }));
  }

  dims(numRows) {
    return [this.numLayers, numRows, this.hiddenDim];
  }

  // Where a layer of a row begins in an array [layers, rows, hidden_dim].
  place(layer, row, numRows) {
    return (layer * numRows + row) * this.hiddenDim;
  }

  joined(rows) {
    const values = new Float32Array(this.numLayers * rows.length * this.hiddenDim);
    rows.forEach((one, row) => {
      for (let layer = 0; one && layer < this.numLayers; layer += 1) {
        const start = this.place(layer, 0, 1);
        values.set(one.subarray(start, start + this.hiddenDim), this.place(layer, row, rows.length));
      }
    });
    return values;
  }

  rowOf(values, row, numRows) {
    const one = new Float32Array(this.numLayers * this.hiddenDim);
    for (let layer = 0; layer < this.numLayers; layer += 1) {
      const start = this.place(layer, row, numRows);
      one.set(values.subarray(start, start + this.hiddenDim), this.place(layer, 0, 1));
    }
    return one;
  }
}

// A loop is ten times as fast as `reduce`.
export function largestOf(values) {
  let largest = -Infinity;
  for (let i = 0; i < values.length; i += 1) if (values[i] > largest) largest = values[i];
  return largest;
}

// Probabilities of logits.
export function softmax(logits) {
  const values = new Float32Array(logits.length);
  const largest = largestOf(logits);
  let total = 0;
  for (let i = 0; i < logits.length; i += 1) {
    values[i] = Math.exp(logits[i] - largest);
    total += values[i];
  }
  for (let i = 0; i < values.length; i += 1) values[i] /= total;
  return values;
}
