-- Builds the demo database. Paths are relative to the repository root.

CREATE TABLE classes AS SELECT * FROM 'examples/classes.csv';

-- One row per image: its label, the box around the object and the pixels themselves.
CREATE TABLE images (
    image_id   INTEGER PRIMARY KEY,
    label      INTEGER NOT NULL,
    label_name VARCHAR NOT NULL,
    box        BOX,
    image      TENSOR(28, 28)
);
INSERT INTO images
SELECT i.image_id, i.label, i.label_name, BOX_XYXY(i.x0, i.y0, i.x1, i.y1), n.value
FROM 'examples/images.parquet' i JOIN read_npy('examples/images.npy') n ON n.index = i.image_id
ORDER BY i.image_id;

-- One row per saliency map: where the network looked when it made its prediction.
CREATE TABLE masks (
    mask_id    INTEGER PRIMARY KEY,
    image_id   INTEGER NOT NULL,
    model_id   INTEGER NOT NULL,
    mask_type  ENUM('grad_cam'),
    mask       MASK(255),
    label      INTEGER NOT NULL,
    prediction INTEGER NOT NULL
);
INSERT INTO masks
SELECT m.mask_id, m.image_id, m.model_id, m.mask_type, s.mask, m.label, m.prediction
FROM 'examples/masks.parquet' m JOIN read_masks('examples/saliency.npy') s ON s.index = m.mask_id
ORDER BY m.mask_id;

-- The view MaskSearch's queries are written against, with the object's box beside each map.
CREATE VIEW MasksDatabaseView AS
SELECT m.*, i.box FROM masks m JOIN images i USING (image_id);

CREATE MODEL fashion FROM 'examples/fashion.pt2' WITH (scale = 255);

CREATE INDEX masks_chi ON masks USING CHI (mask);
CREATE INDEX images_relu3 ON images USING NPI (fashion, 'relu3');
CREATE INDEX images_relu2 ON images USING NPI (fashion, 'relu2');
