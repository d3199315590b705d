#!/bin/sh
# How the files beside this one were made, with `pip install model-signing==1.1.1 pyopenssl` and openssl 3, in an empty folder.
# The private keys were thrown away.
set -e
model=policy; printf "a model's bytes" > model.onnx
mkdir -p folder/rt-engine/$model && cp model.onnx folder && : > folder/rt-engine/$model/1764424000000 && echo text > folder/README.md
for curve in prime256v1 secp384r1 secp521r1; do
    openssl ecparam -name $curve -genkey -noout -out $curve.pem
    echo "ecdsa:$(openssl pkey -in $curve.pem -pubout -outform DER | base64 -w0)" > $curve.pub
    model_signing sign key folder --private_key $curve.pem --signature $curve.folder.json
done
model_signing sign key model.onnx --private_key prime256v1.pem --signature prime256v1.file.json
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout ca.pem -out ca.crt -days 1 -subj /CN=plant
openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout leaf.pem -out leaf.csr -subj /CN=signer
printf "keyUsage=digitalSignature" > ext && openssl x509 -req -in leaf.csr -CA ca.crt -CAkey ca.pem -days 1 -extfile ext -out leaf.crt
model_signing sign certificate folder --private_key leaf.pem --signing_certificate leaf.crt --certificate_chain ca.crt --signature certificate.folder.json
echo "ecdsa:$(openssl pkey -in leaf.pem -pubout -outform DER | base64 -w0)" > certificate.pub
rm -r folder *.pem *.crt *.csr ext model.onnx
