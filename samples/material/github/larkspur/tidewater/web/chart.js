/*!
 * Tidewater chart
 * Copyright 2018 The Tidewater Authors
 * Released under the MIT licence
 */
'use strict';

// Draws a day's tide on a canvas: one point for every ten minutes.
function drawTide(canvas, predict, startHours) {
  const context = canvas.getContext('2d');
  const points = [];
  for (let step = 0; step <= 144; step += 1) {
    points.push(predict(startHours + step / 6));
  }
  const highest = Math.max(...points);
  const lowest = Math.min(...points);
  const scale = canvas.height / (highest - lowest || 1);
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.beginPath();
  points.forEach((height, index) => {
    const x = (index * canvas.width) / 144;
    const y = canvas.height - (height - lowest) * scale;
    if (index === 0) {
      context.moveTo(x, y);
    } else {
      context.lineTo(x, y);
    }
  });
  context.stroke();
  return { highest, lowest };
}

module.exports = { drawTide };
