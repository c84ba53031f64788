// Drives a device with the npm package `onvif` (agsh); prints what it got as one JSON object.
'use strict';

const { Cam } = require('onvif/promises');

async function main(hostname, port, username, password) {
  const cam = new Cam({ hostname, port: Number(port), username, password, timeout: 10000 });
  await cam.connect();
  const date = await cam.getSystemDateAndTime();
  const information = await cam.getDeviceInformation();
  const profileToken = cam.profiles[0].$.token;
  const stream = await cam.getStreamUri({ protocol: 'RTSP', profileToken });
  const snapshot = await cam.getSnapshotUri({ profileToken });
  await cam.createPullPointSubscription();
  const pulled = await cam.pullMessages({ messageLimit: 100 });
  const messages = [].concat(pulled.notificationMessage || []);
  await cam.renew();
  await cam.unsubscribe();
  console.log(JSON.stringify({
    year: date.getUTCFullYear(),
    serial: information.serialNumber,
    profiles: cam.profiles.map((profile) => profile.$.token),
    media2: Boolean(cam.media2Support),
    stream: stream.uri ?? stream,
    snapshot: snapshot.uri ?? snapshot,
    topics: messages.map((message) => message.topic._),
    states: messages.map((message) => message.message.message.data.simpleItem.$.Value),
    operations: messages.map((message) => message.message.message.$.PropertyOperation),
  }));
}

main(...process.argv.slice(2)).catch((error) => {
  console.error(error);
  process.exit(1);
});
